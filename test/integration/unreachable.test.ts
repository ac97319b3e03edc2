import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Failure } from '../../src/errors.ts';
import { startPair, type TestPair } from '../helpers/pair.ts';
import { startSshd } from '../helpers/sshd.ts';

let pair: TestPair;
beforeEach(async () => {
  pair = await startPair();
});
afterEach(() => pair[Symbol.asyncDispose]());

const hello = async (): Promise<Failure> => {
  const error: unknown = await pair
    .sender()
    .peer.hello(AbortSignal.timeout(20_000))
    .catch((thrown: unknown) => thrown);
  return error as Failure;
};

test('a spare whose sshd does not run is unreachable, and reached again by itself when it does', async () => {
  const { port } = pair.sshd;
  await pair.sshd[Symbol.asyncDispose]();
  expect(await hello()).toMatchObject({
    ...{ class: 'unreachable', exitCode: 69 },
    hint: expect.stringContaining(`ssh-keyscan -p ${port} 127.0.0.1`) as string,
  });
  pair.sshd = await startSshd(pair.b.root, pair.b.paths.authorizedKeys, port);
  const greeting = await pair.sender().peer.hello(AbortSignal.timeout(20_000));
  expect(greeting.gate.certname).toBe('masterb.test');
});

test('a changed host key is refused, with what to type', async () => {
  const path = pair.a.paths.keys.knownHosts;
  const [name = '', type = '', blob = ''] = readFileSync(path, 'utf8').trim().split(' ');
  const other = Buffer.from(blob, 'base64');
  other[other.length - 1] = (other.at(-1) ?? 0) ^ 1;
  writeFileSync(path, `${name} ${type} ${other.toString('base64')}\n`);
  const failure = await hello();
  expect(failure).toMatchObject({ class: 'config', exitCode: 78 });
  expect(failure.message).toMatch(/host key is not the pinned one.*--renew-host-key/s);
});

test('a key that the spare does not accept is refused, with what to type there', async () => {
  rmSync(pair.b.paths.authorizedKeys);
  const failure = await hello();
  expect(failure).toMatchObject({ class: 'config' });
  expect(failure.message).toMatch(/does not accept our key.*pe-failover install --passive/s);
});

test('a spare whose agent has not run yet says so', async () => {
  rmSync(pair.b.paths.gate);
  expect((await hello()).message).toMatch(/has not run yet.*systemctl enable --now pe-failover/s);
});
