import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Epoch } from '../../src/rules/epoch.ts';
import { startChild } from '../../src/system/exec.ts';
import { factHash, startPair, type TestPair } from '../helpers/pair.ts';
import { nonce, pushWords, serverWords, thiefOf, type Thief } from '../helpers/thief.ts';
import { snapshot } from '../helpers/trees.ts';

let pair: TestPair;
let thief: Thief;
const own: Epoch = { number: 5, id: 'a'.repeat(16) };

beforeAll(async () => {
  pair = await startPair();
  thief = thiefOf(pair);
  await pair.spare.gate.write({ role: 'passive', epoch: own, peer: pair.a.certname, fact: factHash(pair.b) });
});
afterAll(() => pair[Symbol.asyncDispose]());

describe('a thief of the transfer key', () => {
  const asked: [string, () => Promise<{ exitCode: number; stdout: string; stderr: string }>][] = [
    ['a shell', () => thief.ssh([], [])],
    ['a shell with a terminal', () => thief.ssh(['-tt'], [])],
    ['a command', () => thief.ssh([], ['id'])],
    ['a file', () => thief.ssh([], ['cat', '/etc/passwd'])],
    ['a command behind a verb', () => thief.ssh([], [`hello ${nonce}; id`])],
    ['a command in a verb', () => thief.ssh([], [`hello $(id)`])],
    ['a command on a second line', () => thief.ssh([], [`hello ${nonce}\nid`])],
    ['an option of the gate', () => thief.ssh([], [`hello ${nonce} --root /`])],
    ['scp to here', () => thief.scp('/etc/passwd', '@/tmp/pe-failover-thief')],
    ['scp from here', () => thief.ssh([], ['scp -f /etc/passwd'])],
    ['sftp', () => thief.ssh(['-s'], ['sftp'])],
    ['an export of a file', () => thief.ssh([], [`export ../../etc/passwd ${nonce}`])],
    ['rsync from here', () => thief.rsync('127.0.0.1:/etc/passwd', join(pair.a.root, 'loot'))],
    [
      'rsync from here under a verb',
      () => thief.rsync(`--rsync-path=${pushWords(own, 1)}`, '127.0.0.1:/etc/passwd', join(pair.a.root, 'loot')),
    ],
    [
      'rsync --sender with the right options',
      () => thief.ssh([], [`${pushWords(own, 1)} ${serverWords.replace('--server', '--server --sender')}`]),
    ],
    [
      'rsync with other options',
      () => thief.rsync('-a', `--rsync-path=${pushWords(own, 1)}`, '/etc/hostname', '127.0.0.1:.'),
    ],
    [
      'rsync to another directory',
      () => thief.rsync('-r', `--rsync-path=${pushWords(own, 1)}`, '/etc/hostname', '127.0.0.1:/tmp/pe-failover-thief'),
    ],
    ['rsync upwards', () => thief.ssh([], [`${pushWords(own, 1)} ${serverWords.replace(/\.$/, '../../..')}`])],
    ['a stream upwards', () => thief.ssh([], [`${pushWords(own, 1, '../../etc')} ${serverWords}`])],
    ['a stream that nobody sends', () => thief.ssh([], [`${pushWords(own, 1, 'db-dump.other')} ${serverWords}`])],
    ['receipts of a file', () => thief.ssh([], [`receipts ../../etc/passwd 0 ${nonce}`])],
    [
      'to confirm a stream that is a path',
      () => thief.ssh([], [`confirm ${nonce}`], JSON.stringify({ body: '{"stream":"../.."}', signature: '' })),
    ],
    ['to confirm what is no JSON', () => thief.ssh([], [`confirm ${nonce}`], '{"body":"x","signature":""}')],
    ['to leave a message without end', () => thief.ssh([], [`message ${nonce}`], 'x'.repeat(70_000))],
    ['a connection from here', () => thief.ssh(['-W', `127.0.0.1:${pair.sshd.port}`], [])],
    ['a port here', () => thief.ssh(['-N', '-R', '0:127.0.0.1:22', '-o', 'ExitOnForwardFailure=yes'], [])],
  ];

  it.each(asked)('who wants %s gets nothing, and the inbox stays as it was', async (_, ask) => {
    const before = snapshot(pair.b.paths.inbox);
    const { exitCode, stdout, stderr } = await ask();
    expect(exitCode, stderr).not.toBe(0);
    expect(`${stdout}${stderr}`).not.toMatch(/root:|uid=|"class":"bug"/);
    expect(snapshot(pair.b.paths.inbox)).toEqual(before);
    for (const path of ['/tmp/pe-failover-thief', join(pair.a.root, 'loot')]) expect(existsSync(path)).toBe(false);
  });

  it('who opens a message and says nothing is sent away', { timeout: 30_000 }, async () => {
    const silent = startChild({
      file: 'ssh',
      args: [...thief.login(), `message ${nonce}`],
    });
    let said = '';
    silent.stdout?.setEncoding('utf8').on('data', (chunk: string) => (said += chunk));
    await expect(silent.ended).resolves.toBe('ended with exit code 75');
    expect(said).toContain('too long, or too slow');
  });

  it('learns by hello what root signed for it, and nothing else', async () => {
    const { exitCode, stdout } = await thief.ssh([], [`hello ${nonce}`]);
    expect(exitCode).toBe(0);
    expect(Object.keys(JSON.parse(stdout) as object).sort()).toEqual(['clock', 'gate', 'hello', 'nonce', 'ok']);
  });

  it('learns by export nothing of a spare that signed nothing, and of no other stream', async () => {
    for (const stream of ['sync-certs', 'sync-files']) {
      const { exitCode, stdout } = await thief.ssh([], [`export ${stream} ${nonce}`]);
      expect(exitCode).toBe(0);
      expect(JSON.parse(stdout)).toEqual({ nonce, ok: true });
    }
  });
});
