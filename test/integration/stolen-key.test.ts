import { generateKeyPairSync, sign } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { peerIn } from '../../src/rules/gate.ts';
import type { Epoch } from '../../src/rules/epoch.ts';
import { requestText, withSignature } from '../../src/rules/signed-request.ts';
import { startChild, type Result } from '../../src/system/exec.ts';
import { factHash, startPair, type TestPair } from '../helpers/pair.ts';
import { nonce, pushWords, serverWords, signed, thiefOf, type Thief } from '../helpers/thief.ts';
import { processes } from '../helpers/hunted.ts';
import { processesWhere, snapshot, until } from '../helpers/trees.ts';

let pair: TestPair;
let thief: Thief;
const own: Epoch = { number: 5, id: 'a'.repeat(16) };

beforeAll(async () => {
  pair = await startPair();
  thief = thiefOf(pair);
  await openGate();
});
const openGate = (): Promise<void> =>
  pair.spare.gate.write({ role: 'passive', epoch: own, ...peerIn(pair.a.pairing), fact: factHash(pair.b) });
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
    ['receipts of a file', () => thief.ssh([], [`receipts ../../etc/passwd 0 ${nonce}`])],
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

  it('learns by hello what root signed for it, and nothing else', async () => {
    const { exitCode, stdout } = await thief.ssh([], [`hello ${nonce}`]);
    expect(exitCode).toBe(0);
    expect(Object.keys(JSON.parse(stdout) as object).sort()).toEqual(['clock', 'gate', 'hello', 'nonce', 'ok']);
  });

  const wantSignature = [
    `status ${nonce}`,
    `receipts sync-certs 0 ${nonce} 30`,
    `export sync-certs ${nonce}`,
    `confirm ${nonce}`,
    `message ${nonce}`,
    pushWords(own, 999_999),
    pushWords({ number: 999, id: 'b'.repeat(16) }, 1),
  ];
  const send = (words: string): Promise<Result> =>
    thief.ssh([], [words.startsWith('push ') ? `${words} ${serverWords}` : words], '{"body":"x"}');
  const other = generateKeyPairSync('ed25519').privateKey;
  it.each([
    ['without a signature', (words: string) => words, 'is not signed: an older pe-failover runs on mastera.test'],
    ['signed for another master', (words: string) => signed(pair, words, 'masterc.test'), 'for masterb.test'],
    [
      'signed by another key',
      (words: string) => {
        const text = Buffer.from(`pe-failover request\n${requestText(words, pair.b.certname)}`);
        return withSignature(words, sign(null, text, other).toString('base64'));
      },
      `its signing key is known here as SHA256:`,
    ],
    [
      'under the signature of another request',
      (words: string) => withSignature(words, signed(pair, words.replace(nonce, 'cd'.repeat(16))).split('signed:')[1]!),
      'is not signed by mastera.test',
    ],
    [
      'under a signature that root made for something else',
      (words: string) => withSignature(words, pair.a.signer.sign('message', requestText(words, pair.b.certname))),
      'is not signed by mastera.test',
    ],
  ])(
    'asks for nothing else %s: nothing is written, locked or started',
    { timeout: 60_000 },
    async (_, by, sentence) => {
      const before = snapshot(pair.b.paths.inbox);
      for (const words of wantSignature) {
        const { exitCode, stdout, stderr } = await send(by(words));
        expect(exitCode, words).toBe(75);
        expect(stdout + stderr).toContain(sentence);
      }
      expect(snapshot(pair.b.paths.inbox)).toEqual(before);
    },
  );

  it('cannot put words behind a signature, nor use one twice as long', async () => {
    const words = signed(pair, `receipts sync-certs 0 ${nonce}`);
    for (const more of [`${words} 30`, `${words} ${words.split(' ').at(-1)}`]) {
      const { exitCode, stdout } = await thief.ssh([], [more]);
      expect(exitCode).toBe(75);
      expect(stdout).toContain('its signature is malformed, or not in its place');
    }
  });

  it('is told by a gate file of an older program what is to be typed there, and it opens for nobody', async () => {
    await pair.spare.gate.write({ role: 'passive', epoch: own, peer: pair.a.certname, fact: factHash(pair.b) });
    const { exitCode, stderr } = await thief.ssh([], [`${signed(pair, pushWords(own, 1))} ${serverWords}`]);
    await openGate();
    expect(exitCode).toBe(75);
    expect(stderr).toContain('On masterb.test, type: systemctl restart pe-failover');
  });
});

describe("the active's root", () => {
  it('who opens a message and says nothing is sent away, too', { timeout: 30_000 }, async () => {
    const silent = startChild({ file: 'ssh', args: [...thief.login(), signed(pair, `message ${nonce}`)] });
    let said = '';
    silent.stdout?.setEncoding('utf8').on('data', (chunk: string) => (said += chunk));
    await expect(silent.ended).resolves.toBe('ended with exit code 75');
    expect(said).toContain('too long, or too slow');
  });

  it('hears by export nothing of a spare that signed nothing, and of no other stream', async () => {
    for (const stream of ['sync-certs', 'sync-files']) {
      const { exitCode, stdout } = await thief.ssh([], [signed(pair, `export ${stream} ${nonce}`)]);
      expect(exitCode).toBe(0);
      expect(JSON.parse(stdout)).toEqual({ nonce, ok: true });
    }
  });

  const refused: [string, string, string?][] = [
    ['a stream that nobody sends', pushWords(own, 1, 'db-dump.other')],
    [
      'to confirm a stream that is a path',
      `confirm ${nonce}`,
      JSON.stringify({ body: '{"stream":"../.."}', signature: '' }),
    ],
    ['to confirm what is no JSON', `confirm ${nonce}`, '{"body":"x","signature":""}'],
    ['to leave a message without end', `message ${nonce}`, 'x'.repeat(70_000)],
  ];
  it.each(refused)('who wants %s gets nothing, and the inbox stays as it was', async (_, words, input) => {
    const before = snapshot(pair.b.paths.inbox);
    const request = words.startsWith('push') ? `${signed(pair, words)} ${serverWords}` : signed(pair, words);
    const { exitCode, stdout, stderr } = await thief.ssh([], [request], input);
    expect(exitCode, stderr).not.toBe(0);
    expect(`${stdout}${stderr}`).not.toMatch(/is not signed|"class":"bug"/);
    expect(snapshot(pair.b.paths.inbox)).toEqual(before);
  });
});

describe('while a thief floods the gate', () => {
  const floods: [string, () => string[][]][] = [
    ['connections that say nothing', () => repeated(20, () => thief.login('-N'))],
    [
      'unsigned pushes that hang',
      () => repeated(20, () => [...thief.login(), `${pushWords(own, 999_999)} ${serverWords}`]),
    ],
    ['messages that trickle', () => repeated(20, () => [...thief.login(), `message ${nonce}`])],
    ['greetings without end', () => repeated(20, () => [...thief.login(), `hello ${nonce}`])],
  ];

  it.each(floods)('with %s, an honest push gets through within a minute', { timeout: 120_000 }, async (_, callsOf) => {
    const over = new AbortController();
    const before = snapshot(pair.b.paths.inbox);
    const flooding = callsOf().map((args) => callAgainAndAgain(args, over.signal));
    const sender = pair.sender({ epoch: own });
    try {
      await until('the flood', () => gatesOf(pair).length > 0 || sessionsOf(pair) >= 10, 30_000);
      const began = performance.now();
      const directory = dropToPush();
      const { signal } = new AbortController();
      const words = { stream: 'sync-files', epoch: own, sequence: 1, digest: `sha256:${'0'.repeat(64)}`, directory };
      let most = 0;
      const counting = setInterval(() => (most = Math.max(most, gatesOf(pair).length)), 200);
      await untilPushed(async () => {
        await sender.greetAnew(signal);
        await sender.peer.push(words, { bulk: false, signal });
      });
      clearInterval(counting);
      expect(performance.now() - began).toBeLessThan(60_000);
      expect(most).toBeLessThanOrEqual(places(pair) + 3);
    } finally {
      over.abort();
      await Promise.all(flooding);
      await sender.close();
    }
    rmSync(join(pair.b.paths.inbox, 'sync-files/ready'), { recursive: true });
    mkdirSync(join(pair.b.paths.inbox, 'sync-files/ready'), { mode: 0o700 });
    const after = snapshot(pair.b.paths.inbox);
    for (const name of Object.keys(after)) if (/sync-files\/(lock|basis)/.test(name)) delete after[name];
    for (const name of Object.keys(before)) if (/sync-files\/(lock|basis)/.test(name)) delete before[name];
    expect(after).toEqual(before);
  });
});

const repeated = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);
const places = ({ b }: TestPair): number =>
  readdirSync(b.paths.inbox, { withFileTypes: true }).filter((entry) => entry.isDirectory()).length;
/** Of the forced command, those that are a Node.js already. */
const gatesOf = ({ b }: TestPair): number[] =>
  processesWhere(
    ({ command }) => command.includes(' receive --peer ') && command.includes(b.root) && /^\S*node /.test(command),
  );
const sessionsOf = ({ sshd }: TestPair): number =>
  processes().filter(({ command, parent }) => command.startsWith('sshd:') && parent === sshd.pid).length;

/** One connection of the thief, kept open with a byte now and then, and opened anew when it ends. */
async function callAgainAndAgain(args: readonly string[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const ssh = startChild({ file: 'ssh', args, signal });
    const trickle = setInterval(() => ssh.stdin?.write('x'.repeat(4096)), 50);
    await ssh.ended;
    clearInterval(trickle);
  }
}

function dropToPush(): string {
  const directory = join(pair.a.paths.outbox, 'test-drop');
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'manifest.json'), '{}');
  return directory;
}

/** As the agent does: what did not get through is tried again a second later. */
async function untilPushed(push: () => Promise<unknown>): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    try {
      return void (await push());
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
