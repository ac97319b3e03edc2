import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  completed,
  createAgentPair,
  filesOnly,
  placed,
  secretOf,
  startBoth,
  type AgentMaster,
  type AgentPair,
} from '../helpers/agents.ts';
import { pathsBelow } from '../helpers/pair.ts';

let pair: AgentPair;
beforeEach(async () => {
  pair = await createAgentPair(filesOnly);
});
afterEach(() => pair[Symbol.asyncDispose]());

const report = (master: AgentMaster): { role: string; epoch: string; verdict: { code: number } } =>
  JSON.parse(master.command('status', '--json').output) as never;

const sshPort = ({ root }: AgentMaster): number =>
  Number(/port: (\d+)/.exec(readFileSync(join(root, 'etc/puppetlabs/pe_failover/pe_failover.yaml'), 'utf8'))?.[1]);

/** Takes connections and never says a word. */
async function silentHost(
  address: string,
  port: number,
): Promise<AsyncDisposable & { address: string; asked: Promise<unknown> }> {
  const server = createServer();
  const sockets: Socket[] = [];
  server.on('connection', (socket) => sockets.push(socket));
  const asked = once(server, 'connection');
  server.listen(port, address);
  await once(server, 'listening');
  const end = async (): Promise<void> => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
    await once(server, 'close');
  };
  return { address, asked, [Symbol.asyncDispose]: end };
}

describe('the fact', () => {
  it('turns the roles round by itself, both ways, and what the new active writes arrives', async () => {
    const { a, b } = pair;
    await startBoth(pair);
    a.setFacts({ pe_failover_mode: 'passive' });
    await a.says(/this active is demoted/);
    b.setFacts({ pe_failover_mode: 'active', pe_failover_passive_master: '127.0.0.1' });
    await b.says(/Promoted: epoch 2\./);
    writeFileSync(secretOf(b), 'second');
    await a.says(placed);
    expect(readFileSync(secretOf(a), 'utf8')).toBe('second');

    b.setFacts({ pe_failover_mode: 'passive' });
    await b.says(/this active is demoted/);
    a.setFacts({ pe_failover_mode: 'active' });
    await a.says(/Promoted: epoch 3\./);
    writeFileSync(secretOf(a), 'third');
    await b.says(placed);
    expect(readFileSync(secretOf(b), 'utf8')).toBe('third');
  });

  it('of a spare promotes it while its old active goes on: that one is refused, told why, and sends nothing more', async () => {
    const { a, b } = pair;
    await startBoth(pair);
    b.setFacts({ pe_failover_mode: 'active', pe_failover_passive_master: '127.0.0.1' });
    await b.says(/Promoted: epoch 2\./);
    expect(b.log.join('\n')).not.toContain('was not heard'); // the old active answers who it is
    writeFileSync(secretOf(a), 'too late');
    const refusal = await a.says(/\[FAILURE\].*epoch/);
    expect(refusal).toMatch(/epoch is 1\./);
    expect(refusal).toMatch(/pe_failover_mode: passive/);
    expect(readFileSync(secretOf(b), 'utf8')).toBe('first');

    await a.stop();
    a.start();
    await a.says(/\[FAILURE\].*overtaken/);
    expect(readFileSync(secretOf(b), 'utf8')).toBe('first');
  });

  it('that is taken back while a promotion goes on ends it: nothing of the pair has changed', async () => {
    const { a, b } = pair;
    await startBoth(pair);
    await using silent = await silentHost('127.0.0.3', sshPort(b)); // answers nobody, so that the promotion takes 3 s
    b.setFacts({ pe_failover_mode: 'active', pe_failover_passive_master: silent.address });
    await b.says(/this spare is promoted/);
    await silent.asked;
    b.setFacts({ pe_failover_mode: 'passive' });
    await b.says(/\[WARNING\] the promotion is put off/);
    writeFileSync(secretOf(a), 'second');
    await b.says(placed);
    expect(readFileSync(secretOf(b), 'utf8')).toBe('second');
    expect(report(b)).toMatchObject({ role: 'passive', epoch: report(a).epoch });
    expect(b.log.join('\n')).not.toContain('Promoted:');
  });

  it('of an overtaken active demotes it, and what the new one writes arrives over the connection that it opened before', async () => {
    const { a, b } = pair;
    await startBoth(pair);
    b.setFacts({ pe_failover_mode: 'active', pe_failover_passive_master: '127.0.0.1' });
    await b.says(/\[FAILURE\].*is active itself/); // logged in with a key that may only ask
    a.setFacts({ pe_failover_mode: 'passive' });
    await b.says(completed);
    await a.says(placed);
    writeFileSync(secretOf(b), 'second');
    await a.says(placed);
    expect(b.log.join('\n')).not.toMatch(/FAILURE.*(older than|255)/);
    expect(readFileSync(secretOf(a), 'utf8')).toBe('second');
  });

  it.each([
    ['missing', undefined],
    ['not YAML', 'pe_failover_mode: [active'],
    ['of an unknown mode', 'pe_failover_mode: standby\n'],
  ])('that is %s suspends all jobs, says what to write, and is obeyed again once it is mended', async (_, text) => {
    const { a } = pair;
    await startBoth(pair);
    const good = readFileSync(a.fact, 'utf8');
    if (text === undefined) (await import('node:fs')).rmSync(a.fact);
    else writeFileSync(a.fact, text);
    expect(await a.says(/All jobs are suspended/)).toContain('pe_failover_mode');
    expect(report(a)).toMatchObject({ role: 'suspended', verdict: { code: 2 } });
    writeFileSync(secretOf(a), 'while suspended');
    writeFileSync(a.fact, good);
    await a.says(completed);
    expect(readFileSync(secretOf(pair.b), 'utf8')).toBe('while suspended');
  });

  it('with an edit that changes no role closes nothing for long', async () => {
    const { a, b } = pair;
    await startBoth(pair);
    writeFileSync(b.fact, `${readFileSync(b.fact, 'utf8')}# a comment\n`);
    writeFileSync(secretOf(a), 'after the comment');
    await b.says(placed);
    expect(readFileSync(secretOf(b), 'utf8')).toBe('after the comment');
    expect(b.log.filter((line) => line.includes('promoted'))).toEqual([]);
  });

  it('edited while the agent was down is obeyed when it starts', async () => {
    const { b } = pair;
    await startBoth(pair);
    await b.stop();
    b.setFacts({ pe_failover_mode: 'active' });
    b.start();
    await b.says(/Promoted: epoch 2\./);
    expect(report(b)).toMatchObject({ role: 'active' });
  });
});

describe('a role that cannot be entered', () => {
  it('closes the gate, is told once, and is critical', async () => {
    const { b } = pair;
    b.start();
    await b.says(/The agent of masterb.test runs/);
    b.setFacts({ pe_failover_key: 'ssh-ed25519 AAAA bare' });
    const failure = await b.says(/\[FAILURE\].*could not be entered/);
    expect(failure).toContain('On the active, type');
    const { verdict } = report(b) as { verdict: { code: number; text?: string } };
    expect(verdict).toMatchObject({ code: 2, text: expect.stringContaining('could not be entered') as string });
  });
});

describe('a promotion', () => {
  it('of a spare that never got anything is held until it is permitted', async () => {
    const { b } = pair;
    b.start();
    await b.says(/The agent of masterb.test runs/);
    b.setFacts({ pe_failover_mode: 'active' });
    expect(await b.says(/All jobs are suspended/)).toContain('promote --force-stale');
    expect(b.command('promote', '--force-stale', '--force', '--yes').code).toBe(0);
    await b.says(/Promoted: epoch 1\./);
  });
});

describe('what is left behind', () => {
  it('after an orderly end: no control socket, no ssh socket', async () => {
    const { a, b } = pair;
    await startBoth(pair);
    await Promise.all([a.stop(), b.stop()]);
    for (const { root } of [a, b]) {
      const { run } = pathsBelow(root);
      for (const name of ['control.sock', 'ssh-hot', 'ssh-bulk']) expect(existsSync(join(run, name))).toBe(false);
    }
  });
});

describe('an agent', () => {
  it('that is told to end while it still starts does so', async () => {
    const { b } = pair;
    const greeting = join(pathsBelow(b.root).state, 'hello.json');
    const written = (): number => (existsSync(greeting) ? statSync(greeting).mtimeMs : 0);
    const before = written();
    b.start();
    await expect.poll(written, { interval: 1, timeout: 20_000 }).not.toBe(before);
    const at = performance.now();
    await b.stop();
    expect(performance.now() - at).toBeLessThan(10_000);
  });
});

describe('two actives that see each other', () => {
  it('both raise FAILURE, name both epochs, and neither writes to the other', async () => {
    const { a, b } = pair;
    await startBoth(pair);
    await a.stop();
    b.setFacts({ pe_failover_mode: 'active', pe_failover_passive_master: '127.0.0.1' });
    await b.says(/Promoted: epoch 2\./);
    // A promotes itself without having heard of it: its spare is named by an address where nobody answers.
    a.setFacts({ pe_failover_mode: 'passive' });
    a.start();
    await a.says(/this active is demoted/);
    a.setFacts({ pe_failover_mode: 'active', pe_failover_passive_master: '127.0.0.2' });
    await a.says(/Promoted: epoch 2\./);
    a.setFacts({ pe_failover_passive_master: '127.0.0.1' });
    const failure = /\[FAILURE\].*epoch is 2\..*in epoch 2\./;
    await a.says(failure);
    await b.says(failure, 45_000);
    expect(readFileSync(secretOf(b), 'utf8')).toBe('first');
  });
});
