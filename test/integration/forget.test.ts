import { cpSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { StatusReport } from '../../src/agent/status.ts';
import { openHost, openMaster } from '../../src/app.ts';
import { forgetParts } from '../../src/commands/forget.ts';
import { forgetSpare } from '../../src/procedures/forget.ts';
import { createJournal } from '../../src/system/journal.ts';
import { completed, createAgentPair, secretOf, startBoth, type AgentPair } from '../helpers/agents.ts';
import { pathsBelow, program } from '../helpers/pair.ts';

const host = 'masterb.test';
const noClassifier = (): string =>
  'jobs: {sync_certs: {enabled: false}, update_passive_ca: {enabled: false}, nc_dump: {enabled: false}, restore_nc: {enabled: false}}\n' +
  'peer_address: 127.0.0.1\n';

/** What forget is about, as it lies on a disk. */
function traces(root: string) {
  const { state, keys, fact, authorizedKeys, gate, streams, outbox } = pathsBelow(root);
  const text = (path: string): string | undefined => (existsSync(path) ? readFileSync(path, 'utf8') : undefined);
  const stream = JSON.parse(text(join(streams, 'sync-files.json')) ?? '{}') as object;
  return {
    fact: text(fact),
    peer: text(join(state, 'peer.json')),
    knownHosts: text(keys.knownHosts),
    door: text(authorizedKeys),
    gate: /\\"peer\\":\\"([^"\\]+)/.exec(text(gate) ?? '')?.[1],
    acknowledged: 'acknowledged' in stream,
    note: existsSync(join(state, 'forget.json')),
    packed: existsSync(join(outbox, 'sync-files'))
      ? spawnSync('ls', [join(outbox, 'sync-files')]).stdout.toString()
      : '',
  };
}

const nothing = { peer: undefined, knownHosts: undefined, door: undefined, gate: undefined };
const forgotten = { ...nothing, acknowledged: false, note: false, packed: '' };
const report = (pair: AgentPair): StatusReport => JSON.parse(pair.a.command('status', '--json').output) as StatusReport;

describe('a spare', () => {
  let pair: AgentPair;
  beforeAll(async () => {
    pair = await createAgentPair(noClassifier);
    await startBoth(pair);
    await vi.waitUntil(() => traces(pair.a.root).gate === host, { timeout: 20_000 });
  });
  afterAll(() => pair[Symbol.asyncDispose]());

  it('that is alive and well is not forgotten', () => {
    const { knownHosts: _pinned, ...before } = traces(pair.a.root); // whoever asks it pins its key, under its name
    const { code, output } = pair.a.command('forget', host, '--yes');
    expect([code, output]).toEqual([75, expect.stringContaining('masterb.test is alive: it answers, and is passive')]);
    expect(output).toContain('--force goes on all the same');
    expect(traces(pair.a.root)).toMatchObject(before);
  });

  it('of another name is not there to be forgotten, nor is this master itself, nor anybody on a spare', () => {
    expect(pair.a.command('forget', 'masterz.test', '--yes').output).toContain('nothing here names masterz.test');
    expect(pair.a.command('forget', 'mastera.test', '--yes').output).toContain('that is this master itself');
    expect(pair.b.command('forget', 'mastera.test', '--yes').output).toContain('Type it on the active');
  });

  it('that is gone leaves nothing behind but what this master keeps for itself, and status says so', async () => {
    await pair.b.stop('SIGKILL');
    const again = await pair.cutOff();
    const { code, output } = pair.a.command('forget', host, '--yes');
    expect([code, output]).toEqual([0, expect.stringContaining('masterb.test does not answer')]);
    expect(output).toContain(pathsBelow(pair.a.root).data);
    expect(output).toContain('/etc/puppetlabs/secrets');
    expect(traces(pair.a.root)).toMatchObject(forgotten);
    expect(traces(pair.a.root).fact).toBe('---\npe_failover_mode: active\n');
    const { verdict, peer } = report(pair);
    expect([verdict.text, peer]).toEqual([expect.stringContaining('active without a spare'), undefined]);
    await again();
  });

  it('takes its place again when it is installed again, and gets everything', async () => {
    const { output } = pair.a.command('install', '--active', '--passive-master', '127.0.0.1');
    const line = output.trim().split('\n').at(-1) ?? '';
    rmSync(secretOf(pair.b));
    expect(pair.b.command('install', '--passive', '--auth-key', line).code).toBe(0);
    pair.b.start();
    await pair.a.says(completed, 40_000);
    await expect.poll(() => existsSync(secretOf(pair.b)), { timeout: 20_000 }).toBe(true);
    expect(traces(pair.a.root).gate).toBe(host);
  });
});

describe('forget, killed', () => {
  let pair: AgentPair;
  let names: string[];
  beforeAll(async () => {
    pair = await createAgentPair(noClassifier);
    await startBoth(pair);
    await vi.waitUntil(() => traces(pair.a.root).gate === host, { timeout: 20_000 });
    for (const one of [pair.a, pair.b]) await one.stop();
    await pair.cutOff();
  });
  afterAll(() => pair[Symbol.asyncDispose]());

  /** Steps 0 to n are done, and the journal says that it was killed in n. */
  async function killedIn(n: number): Promise<string> {
    const root = `${pair.a.root}-${n}`;
    cpSync(pair.a.root, root, { recursive: true, filter: (path) => !path.endsWith('sshd.pid') });
    const master = await openMaster(await openHost(root), { stderr: false, besideAgent: true });
    const { steps } = forgetSpare(await forgetParts(master, 'alice', host, false));
    names = steps.map(({ name }) => name);
    const doing = { tell: () => undefined, signal: AbortSignal.timeout(30_000) };
    for (const step of steps.slice(0, n + 1)) await step.do(doing);
    await createJournal(join(master.paths.journal, 'procedure.jsonl')).record({
      ...{ run: 'forget', job: 'forget', step: names[n] ?? '', n, of: steps.length },
      ...{ args: { subject: host }, at: new Date().toISOString() },
    });
    await master.log.close();
    return root;
  }
  const type = (root: string, ...words: string[]) => {
    const { status, stdout, stderr } = spawnSync(program, ['forget', host, '--root', root, ...words], {
      encoding: 'utf8',
    });
    rmSync(pathsBelow(root).run, { recursive: true, force: true });
    return { code: status, output: stdout + stderr };
  };

  it.each([0, 1, 2, 3, 4])('in step %i ends when it is typed again', async (n) => {
    const root = await killedIn(n);
    const { code, output } = type(root, '--yes');
    expect([code, output]).toEqual([0, expect.stringContaining('Goes on with what began')]);
    expect(traces(root)).toMatchObject(forgotten);
    expect(traces(root).fact).toBe('---\npe_failover_mode: active\n');
  });

  it.each([0, 1, 2])('in step %i is as if it had never begun after --undo', async (n) => {
    const before = traces(pair.a.root);
    const root = await killedIn(n);
    const { code, output } = type(root, '--undo');
    expect([code, output]).toEqual([0, expect.stringContaining('It is undone')]);
    const { door: _door, gate: _gate, ...after } = traces(root); // the agent writes these by the rest
    const { door: _was, gate: _named, ...wanted } = before;
    expect(after).toEqual(wanted);
  });

  it('behind its point of no return can only be finished', async () => {
    const root = await killedIn(3);
    expect(names[3]).toBe('acknowledged');
    expect(type(root, '--undo')).toMatchObject({ code: 75 });
    expect(type(root, '--yes').code).toBe(0);
  });
});
