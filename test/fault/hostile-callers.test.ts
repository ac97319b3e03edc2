import { generateKeyPairSync, sign } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Epoch } from '../../src/rules/epoch.ts';
import { requestText, withSignature } from '../../src/rules/signed-request.ts';
import type { Result } from '../../src/system/exec.ts';
import type { Purpose } from '../../src/system/sign.ts';
import { startGateBench, type GateBench } from '../helpers/gate-bench.ts';
import { expectSentence } from '../helpers/spare-state.ts';
import { nonce, pushWords, serverWords, signed } from '../helpers/thief.ts';

let bench: GateBench;
const epoch: Epoch = { number: 1, id: '00c0ffee00c0ffee' };
const hostB = 'masterb.test';

beforeAll(async () => {
  bench = await startGateBench();
});
afterAll(() => bench[Symbol.asyncDispose]());

const status = `status ${nonce}`;
const valueOf = (request: string): string => request.split('signed:')[1] ?? '';
const ofRoot = (words: string): string => signed(bench.pair, words);
const valueOfRoot = (words: string): string => valueOf(ofRoot(words));
const unsigned = 'is not signed by mastera.test for masterb.test';
const misplaced = 'its signature is malformed, or not in its place';

const purposes: Purpose[] = ['manifest', 'gate', 'receipt', 'confirm', 'made-here'];
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

const signatures: [string, () => string, string][] = [
  ...purposes.map((purpose): [string, () => string, string] => [
    `made as a ${purpose}`,
    () => withSignature(status, bench.pair.a.signer.sign(purpose, requestText(status, hostB))),
    unsigned,
  ]),
  [
    "of the spare's own root",
    () => withSignature(status, bench.pair.b.signer.sign('request', requestText(status, hostB))),
    unsigned,
  ],
  [
    'of a key of another kind',
    () => withSignature(status, sign('sha256', Buffer.from(requestText(status, hostB)), other).toString('base64')),
    unsigned,
  ],
  ['for the same name in capitals', () => signed(bench.pair, status, hostB.toUpperCase()), unsigned],
  ['for a longer name', () => signed(bench.pair, status, `${hostB}.evil`), unsigned],
  ['for no name', () => signed(bench.pair, status, ''), unsigned],
  ['for itself', () => signed(bench.pair, status, 'mastera.test'), unsigned],
  ['of words alone', () => withSignature(status, bench.pair.a.signer.sign('request', status)), unsigned],
  ['of another verb', () => withSignature(`message ${nonce}`, valueOfRoot(status)), unsigned],
  ['of a request without its nonce', () => withSignature(status, valueOfRoot('status')), unsigned],
  [
    'of a request for another stream',
    () =>
      withSignature(`receipts sync-certs 0 ${nonce}`, valueOfRoot(`receipts sync-files 0 ${nonce}`)),
    unsigned,
  ],
  [
    'of a request for later receipts',
    () => withSignature(`receipts sync-files 0 ${nonce}`, valueOfRoot(`receipts sync-files 9 ${nonce}`)),
    unsigned,
  ],
  [
    'of a push of another sequence',
    () => `${withSignature(pushWords(epoch, 2), valueOfRoot(pushWords(epoch, 1)))} ${serverWords}`,
    unsigned,
  ],
  [
    'of a push of another epoch',
    () => `${withSignature(pushWords({ ...epoch, number: 2 }, 1), valueOfRoot(pushWords(epoch, 1)))} ${serverWords}`,
    unsigned,
  ],
  [
    'of a push of another stream',
    () => `${withSignature(pushWords(epoch, 1, 'nc-dump'), valueOfRoot(pushWords(epoch, 1)))} ${serverWords}`,
    unsigned,
  ],
  ['of nothing', () => `${status} signed:`, misplaced],
  ['of other letters', () => `${status} signed:${'*'.repeat(88)}`, misplaced],
  ['of another alphabet', () => `${status} signed:${'-_'.repeat(43)}==`, misplaced],
  ['that is cut', () => ofRoot(status).slice(0, -30), misplaced],
  ['that lacks a byte', () => `${status} signed:${Buffer.alloc(63, 1).toString('base64')}`, unsigned],
  ['of zeros', () => `${status} signed:${Buffer.alloc(64).toString('base64')}`, unsigned],
  ['of 400 characters', () => `${status} signed:${'A'.repeat(400)}`, misplaced],
  ['before the words', () => `signed:${valueOfRoot(status)} ${status}`, misplaced],
  ['between the words', () => `status signed:${valueOfRoot(status)} ${nonce}`, misplaced],
  ['twice', () => `${ofRoot(status)} signed:${valueOfRoot(status)}`, misplaced],
  ['behind the words of rsync', () => `${pushWords(epoch, 1)} ${serverWords} signed:${valueOfRoot(pushWords(epoch, 1))}`, misplaced],
  ['with a word behind it', () => `${ofRoot(status)} x`, misplaced],
  ['written in capitals', () => ofRoot(status).replace('signed:', 'SIGNED:'), 'malformed nonce'],
]; // prettier-ignore

describe('a request with a signature', () => {
  it.each(signatures)('%s is refused', async (_, make, sentence) => {
    await bench.refuses([make()], sentence);
  });
  it('that is good for another master alone is refused there, and good here', async () => {
    const there = signed(bench.pair, status, 'masterc.test');
    await bench.refuses([there], unsigned);
    await bench.untouched(async () => expect((await bench.ask(ofRoot(status))).stdout).toContain('does not run here'));
  });
  it('that is wrong keeps out no honest drop', () => bench.expectHonest());
});

const hello = `hello ${nonce}`;
const refusingPort = ['-o', 'ExitOnForwardFailure=yes', '-N'];
const logins: [string, () => Promise<Result>, RegExp][] = [
  ['a terminal and a shell', () => bench.thief.ssh(['-tt'], []), /PTY allocation request failed/],
  ['a subsystem that nobody has', () => bench.thief.ssh(['-s'], ['netconf']), /subsystem request failed|unknown verb/],
  [
    'a socket here',
    () => bench.thief.ssh([...refusingPort, '-R', '/tmp/pe-failover-hostile:localhost:22'], []),
    /remote port forwarding failed/,
  ],
  ['a network device', () => bench.thief.ssh([...refusingPort, '-w', 'any'], []), /[Tt]unnel|tun/],
  [
    'a request in the environment',
    () => bench.thief.ssh(['-o', `SetEnv=SSH_ORIGINAL_COMMAND="${hello}"`], []),
    /no request/,
  ],
];

describe('a login of the stolen key', () => {
  it.each(logins)('that wants %s gets a refusal', async (_, login, sentence) => {
    await bench.untouched(async () => {
      const { exitCode, stdout, stderr } = await login();
      expectSentence(stdout + stderr, sentence);
      expect(exitCode).not.toBe(0);
    });
  });

  const loud: [string, string[]][] = [
    ['code for Node.js', ['-o', 'SetEnv=NODE_OPTIONS=--require=/etc/passwd']],
    ['a library for the loader', ['-o', 'SetEnv=LD_PRELOAD=/tmp/pe-failover-hostile.so']],
    ['a file for the shell', ['-o', 'SetEnv=BASH_ENV=/etc/passwd ENV=/etc/passwd']],
    ['a language that is a path', ['-o', 'SetEnv=LANG=../../etc LC_ALL=../../etc']],
    ['a place at the gate', ['-o', 'SetEnv=PE_FAILOVER_PLACE=1']],
    ['an agent', ['-A']],
    ['a display', ['-Y']],
  ];
  it.each(loud)('that brings %s hears by hello what any other hears, and nothing else', async (_, options) => {
    await bench.untouched(async () => {
      const { exitCode, stdout, stderr } = await bench.thief.ssh(options, [hello]);
      expectSentence(stdout + stderr, /"ok":true/);
      expect(exitCode).toBe(0);
      const line = stdout.split('\n').find((one) => one.startsWith('{')) ?? '';
      expect(Object.keys(JSON.parse(line) as object).sort()).toEqual(['clock', 'gate', 'hello', 'nonce', 'ok']);
    });
  });
  it('keeps out no honest drop', () => bench.expectHonest());
});

const sealed = (body: unknown): string => JSON.stringify({ body: JSON.stringify(body), signature: '' });
const confirm = `confirm ${nonce}`;
const message = `message ${nonce}`;
const pushed = (words: string): string => `${ofRoot(words)} ${serverWords}`;
const lower: Epoch = { number: 0, id: '1'.repeat(16) };
const leavesStaging = [/inbox\/sync-files\/(lock|staging|staging\.digest|basis)/, /inbox\/sync-files$/];

const ofActive: [string, () => string, string | undefined, RegExp, RegExp[]?][] = [
  ['confirms in no JSON', () => ofRoot(confirm), 'x', /is not JSON|malformed|unreadable/],
  ['confirms in a list', () => ofRoot(confirm), '[]', /malformed|unknown stream|is not|no signed line/],
  ['confirms in bytes', () => ofRoot(confirm), '\0\u0001\ufffd'.repeat(1000), /is not|malformed|unreadable/],
  ['confirms nothing', () => ofRoot(confirm), '', /is not|malformed|unreadable/],
  ['confirms without end', () => ofRoot(confirm), 'x'.repeat(70_000), /too long, or too slow/],
  ['confirms deep', () => ofRoot(confirm), '['.repeat(60_000), /is not|malformed|unreadable/],
  ['confirms a stream upwards', () => ofRoot(confirm), sealed({ stream: '../../..', epoch }), /unknown stream/],
  ['confirms a stream of every object', () => ofRoot(confirm), sealed({ stream: '__proto__', epoch }), /unknown stream/],
  ['confirms a stream that is a list', () => ofRoot(confirm), sealed({ stream: ['sync-files'], epoch }), /unknown stream/],
  ['confirms a database that is not taken', () => ofRoot(confirm), sealed({ stream: 'db-dump.other', epoch }), /db-dump.other is not taken in here/],
  ['confirms in no epoch', () => ofRoot(confirm), sealed({ stream: 'sync-files' }), /it names no epoch/],
  ['confirms in an epoch beyond 2^53', () => ofRoot(confirm), '{"body":"{\\"stream\\":\\"sync-files\\",\\"epoch\\":{\\"number\\":9007199254740993,\\"id\\":\\"00c0ffee00c0ffee\\"}}","signature":""}', /it names no epoch/],
  ['confirms in an older epoch', () => ofRoot(confirm), sealed({ stream: 'sync-files', epoch: lower }), /promoted after you/],
  ['leaves a message without end', () => ofRoot(message), 'x'.repeat(70_000), /too long, or too slow/],
  ['pushes in an older epoch', () => pushed(pushWords(lower, 1)), '', /promoted after you/],
  ['pushes in an epoch that conflicts', () => pushed(pushWords({ ...epoch, id: 'f'.repeat(16) }, 1)), '', /both masters were promoted/],
  ['pushes a database that is not taken', () => pushed(pushWords(epoch, 90, 'db-dump.other')), '', /db-dump.other is not taken in here/],
  ['pushes nothing', () => pushed(pushWords(epoch, 90)), '', /push broke off/, leavesStaging],
  ['pushes noise', () => pushed(pushWords(epoch, 91)), 'x'.repeat(100_000), /push broke off/, leavesStaging],
  ['pushes another protocol', () => pushed(pushWords(epoch, 92)), '@RSYNCD: 31.0\nroot\n', /push broke off/, leavesStaging],
]; // prettier-ignore

describe("the active's root, taken over,", () => {
  it.each(ofActive)('%s: refused', async (_, make, input, sentence, mayChange) => {
    await bench.untouched(async () => {
      const { exitCode, stdout, stderr } = await bench.ask(make(), input);
      expectSentence(stdout + stderr, sentence);
      expect(exitCode).not.toBe(0);
    }, mayChange);
  });
  it('keeps out no honest drop afterwards', () => bench.expectHonest());

  it('who pushes what is no drop leaves nothing behind but staging', async () => {
    const words = pushWords(epoch, 93);
    await bench.untouched(async () => {
      const path = `--rsync-path=${ofRoot(words)}`;
      const options = ['--recursive', '--ignore-times', '--inplace', '--delete', '--timeout=30', path];
      const { exitCode, stderr } = await bench.thief.rsync(
        ...options,
        `${join(bench.pair.a.root, 'etc')}/`,
        '127.0.0.1:.',
      );
      expectSentence(stderr, /manifest.json is missing/);
      expect(exitCode).not.toBe(0);
    }, leavesStaging);
    await bench.expectHonest();
  });
});
