import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { findOverQuota } from '../../src/agent/over-quota.ts';
import type { DropToPush } from '../../src/drops/peer.ts';
import type { Sender } from '../../src/drops/sender.ts';
import { Failure } from '../../src/errors.ts';
import { peerIn } from '../../src/rules/gate.ts';
import { overQuotaName, type Quota } from '../../src/rules/inbox-quota.ts';
import { createTestSpare, factHash, startPair, type TestPair } from '../helpers/pair.ts';
import { processesWhere, snapshot, until } from '../helpers/trees.ts';

let pair: TestPair;
let sender: Sender;
const { signal } = new AbortController();
const megabyte = 1_000_000;

beforeAll(async () => {
  pair = await startPair();
});
afterAll(() => pair[Symbol.asyncDispose]());
beforeEach(async () => {
  sender = pair.sender({ bandwidthLimit: 0 });
  await sender.greet(signal);
});
const home = (): string => join(pair.b.paths.inbox, 'sync-files');
afterEach(() => {
  rmSync(join(home(), 'ready'), { recursive: true });
  mkdirSync(join(home(), 'ready'), { mode: 0o700 });
  rmSync(join(pair.b.paths.inbox, overQuotaName), { force: true });
});

async function permit(quota: Partial<Quota>): Promise<void> {
  const spare = createTestSpare(pair.b, pair.a.pairing, { quota: { size: 1e9, files: 1e5, free: 0, ...quota } });
  const none = { number: 0, id: '0'.repeat(16) };
  await spare.gate.write({ role: 'passive', epoch: none, ...peerIn(pair.a.pairing), fact: factHash(pair.b) });
}

let sequence = 0;
function drop(files: Record<string, Uint8Array | string>): DropToPush {
  sequence += 1;
  const directory = join(pair.a.paths.outbox, 'test', String(sequence));
  mkdirSync(directory, { recursive: true });
  for (const [name, content] of Object.entries({ 'manifest.json': '{}', ...files }))
    writeFileSync(join(directory, name), content);
  return { stream: 'sync-files', epoch: pair.epoch, sequence, digest: `sha256:${'0'.repeat(64)}`, directory };
}
const push = (what: DropToPush): Promise<unknown> => sender.peer.push(what, { bulk: false, signal });
const failureOf = async (work: Promise<unknown>): Promise<Failure> => {
  const thrown: unknown = await work.catch((error: unknown) => error);
  if (!(thrown instanceof Failure)) throw new Error(`no failure: ${String(thrown)}`);
  return thrown;
};
const many = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`file-${n}`, '']));

it.each([
  ['bytes', { size: 20 * megabyte }, () => ({ big: randomBytes(30 * megabyte) }), 'the quota of 20 MB', 'inbox.size'],
  ['files', { files: 500 }, () => many(2000), 'the quota of 500 files', 'inbox.files'],
] as const)(
  'a push over the quota of %s is ended: staging is gone, both masters hear the limit and its key, and the next push passes',
  async (_, quota, files, limit, key) => {
    await permit(quota);
    const before = snapshot(home());
    const failure = await failureOf(push(drop(files())));
    expect(failure).toMatchObject({ class: 'config', what: 'the spare says' });
    expect(failure.message).toContain(`refused: the inbox of masterb.test is over ${limit}`);
    expect(failure.message).toContain(`set ${key} higher on masterb.test`);
    expect(Object.keys(snapshot(home())).sort()).toEqual(
      [...new Set([...Object.keys(before), 'basis', 'lock'])].sort(),
    );

    const said = await findOverQuota(pair.b.paths.inbox, await pair.spare.gate.read());
    expect(said?.message).toMatch(
      new RegExp(`is over ${limit}, with [0-9.]+ .?B in \\d+ files\\. .*set ${key} higher`),
    );
    await expect(findOverQuota(pair.b.paths.inbox, await pair.spare.gate.read())).resolves.toBeUndefined(); // said once
    await push(drop({ small: 'x' }));
    expect(readdirSync(join(home(), 'ready'))).toHaveLength(1);
  },
);

it('a push is ended while it writes, long before all of it is here', async () => {
  await permit({ size: 8 * megabyte });
  sender = pair.sender({ bandwidthLimit: 8_000 });
  const began = performance.now();
  expect((await failureOf(push(drop({ big: randomBytes(80 * megabyte) })))).message).toContain(
    'over the quota of 8 MB',
  );
  expect(performance.now() - began).toBeLessThan(6_000); // whole, it would take ten seconds
});

it('drops that root has not taken yet count, and a push says so before it brings a byte', async () => {
  await permit({ size: 6 * megabyte });
  await push(drop({ first: randomBytes(4 * megabyte) }));
  expect((await failureOf(push(drop({ second: randomBytes(4 * megabyte) })))).class).toBe('config');
  await permit({ size: 2 * megabyte });
  expect((await failureOf(push(drop({ third: 'x' })))).message).toMatch(/over the quota of 2 MB, with 4\.\d MB/);
  expect(readdirSync(join(home(), 'ready'))).toHaveLength(1);
});

it('what the kernel lets the rsync of a push do has limits, whoever watches', async () => {
  await permit({ size: 64 * megabyte });
  sender = pair.sender({ bandwidthLimit: 1_000 });
  const pushing = push(drop({ big: randomBytes(20 * megabyte) }));
  pushing.catch(() => undefined); // awaited below
  const inStaging = (): number[] => processesWhere(({ cwd }) => cwd === join(home(), 'staging'));
  await until('its rsync', () => inStaging().length > 0 && existsSync(join(home(), 'staging/big')));
  for (const pid of inStaging()) {
    const limits = readFileSync(`/proc/${pid}/limits`, 'utf8');
    for (const [name, value] of [
      ['Max file size', 64 * megabyte],
      ['Max core file size', 0],
      ['Max open files', 64],
      ['Max address space', 1024 ** 3],
      ['Max processes', 1024],
    ] as const)
      expect(limits).toMatch(new RegExp(`^${name} +${value} +${value} `, 'm'));
    process.kill(pid, 'SIGKILL');
  }
  await expect(pushing).rejects.toMatchObject({ class: 'unreachable' });
});

it('a note of an over-full inbox that the transfer user makes up is no word of root', async () => {
  for (const note of [
    '[]',
    '{',
    '{"stream":"../x","key":"inbox.size","bytes":1,"files":1}',
    '"x"',
    '{"key":"hooks"}',
  ]) {
    writeFileSync(join(pair.b.paths.inbox, overQuotaName), note);
    await expect(findOverQuota(pair.b.paths.inbox, await pair.spare.gate.read())).resolves.toBeUndefined();
  }
});
