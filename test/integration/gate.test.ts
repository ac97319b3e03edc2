import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createAuthorizedKeys } from '../../src/drops/authorized-keys.ts';
import { createPeer, type DropToPush, type Peer } from '../../src/drops/peer.ts';
import { formatEpoch, type Epoch } from '../../src/rules/epoch.ts';
import { enter, type Receiver } from '../../src/receiver/gate.ts';
import { peerIn, rivalName, type Gate } from '../../src/rules/gate.ts';
import { exec, startChild } from '../../src/system/exec.ts';
import { createRsyncPush } from '../../src/system/rsync.ts';
import { createSshSession, type SshSession } from '../../src/system/ssh.ts';
import { factHash, program, startPair, type TestPair } from '../helpers/pair.ts';
import { pushWords, serverWords, signed, thiefOf } from '../helpers/thief.ts';
import { processesWhere, snapshot, until } from '../helpers/trees.ts';

let pair: TestPair;
const own: Epoch = { number: 5, id: 'a'.repeat(16) };
const counter = join(import.meta.dirname, '../helpers/count-sent.ts');
const { signal } = new AbortController();
const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;

beforeAll(async () => {
  pair = await startPair();
});
afterAll(() => pair[Symbol.asyncDispose]());

const home = (): string => join(pair.b.paths.inbox, 'sync-files');
const ready = (epoch: Epoch, sequence: number): string => join(home(), 'ready', `${formatEpoch(epoch)}-${sequence}`);
const setGate = (words: Partial<Gate> = {}): Promise<void> =>
  pair.spare.gate.write({ role: 'passive', epoch: own, ...peerIn(pair.a.pairing), fact: factHash(pair.b), ...words });

beforeEach(() => setGate());
afterEach(() => {
  for (const name of ['staging', 'staging.digest', 'basis', 'ready'])
    rmSync(join(home(), name), { recursive: true, force: true });
  mkdirSync(join(home(), 'ready'), { mode: 0o700 });
});

describe('a push', () => {
  let sessions: SshSession[] = [];
  afterEach(async () => {
    for (const session of sessions) await session.close();
    sessions = [];
  });

  /** The active's own side of the way, with a connection of its own. `counted`: what it sends, in bytes, goes there. */
  function peer(options: { bandwidthLimit?: number; counted?: string } = {}): Peer {
    const target = {
      ...{
        host: '127.0.0.1',
        port: pair.sshd.port,
        user: userInfo().username,
        identity: pair.a.paths.keys.transfer,
        connectTimeoutSeconds: 3,
      },
      ...{ knownHosts: pair.a.paths.keys.knownHosts, hostKeyAlias: '127.0.0.1' },
    };
    const session = createSshSession(exec, target, join(pair.a.paths.run, `ssh-${sessions.length}`));
    sessions.push(session);
    const { counted } = options;
    const hot: SshSession = {
      ...session,
      get remoteShell() {
        return counted === undefined
          ? session.remoteShell
          : `${process.execPath} ${counter} ${counted} ${session.remoteShell}`;
      },
    };
    const known = (): Promise<typeof pair.b.pairing> => Promise.resolve(pair.b.pairing);
    return createPeer({
      hot,
      bulk: hot,
      rsync: createRsyncPush(exec),
      host: '127.0.0.1',
      bandwidthLimit: options.bandwidthLimit ?? 0,
      known,
      signer: pair.a.signer,
    });
  }

  function drop(epoch: Epoch, sequence: number, files: Record<string, Uint8Array | string> = {}): DropToPush {
    const directory = join(pair.a.paths.outbox, 'test', `${formatEpoch(epoch)}-${sequence}`);
    mkdirSync(directory, { recursive: true });
    for (const [name, content] of Object.entries({ 'manifest.json': '{}', ...files }))
      writeFileSync(join(directory, name), content);
    return { stream: 'sync-files', epoch, sequence, digest: digest('0'), directory };
  }
  const send = (by: Peer, what: DropToPush): Promise<unknown> => by.push(what, { bulk: false, signal });
  const bySsh = (epoch: Epoch) => thiefOf(pair).ssh([], [`${pushWords(epoch, 1)} ${serverWords}`]);

  it.each([
    [
      'of a lower epoch',
      { number: 4, id: 'b'.repeat(16) },
      {},
      77,
      'your epoch is 4.bbbbbbbbbbbbbbbb, mine is 5.aaaaaaaaaaaaaaaa',
    ],
    ['of a conflicting epoch', { number: 5, id: 'b'.repeat(16) }, {}, 77, 'without knowing of each other'],
    ['to an active', own, { role: 'active' as const }, 75, 'masterb.test is active itself'],
    ['to a suspended one', own, { role: 'suspended' as const }, 75, 'is suspended'],
    ['to a closed gate', own, { closed: 'promoting' }, 75, 'masterb.test is closed: promoting'],
    ['to the spare of another', own, { peer: 'other.test' }, 75, 'takes drops from other.test, not from mastera.test'],
  ])(
    '%s is refused in a sentence, with its exit code, before a byte is taken',
    async (_, epoch, gate, code, sentence) => {
      await setGate(gate);
      const before = snapshot(pair.b.paths.inbox);
      await expect(send(peer(), drop(epoch, 1))).rejects.toMatchObject({
        class: 'refused', // "latched" is for the signed greeting alone to say
        message: expect.stringContaining(sentence) as string,
      });
      await expect(bySsh(epoch)).resolves.toMatchObject({
        exitCode: code,
        stderr: expect.stringContaining(sentence) as string,
      });
      // An active that was refused by an active is noted, once, for the agent to raise the alarm.
      const told = 'role' in gate && gate.role === 'active' ? { [rivalName]: expect.any(String) as string } : {};
      expect(snapshot(pair.b.paths.inbox)).toEqual({ ...before, ...told });
    },
  );

  it('just after the fact was edited is refused, whatever the gate says', async () => {
    const fact = readFileSync(pair.b.paths.fact);
    appendFileSync(pair.b.paths.fact, '\n');
    await expect(send(peer(), drop(own, 1))).rejects.toMatchObject({
      class: 'refused',
      message: expect.stringContaining('was just edited') as string,
    });
    writeFileSync(pair.b.paths.fact, fact);
  });

  it('while the fact is not for the gate to read is refused with that sentence, and is no bug', async () => {
    const { gate, fact } = pair.b.paths;
    const directory = mkdtempSync(join(tmpdir(), 'gate-test-'));
    const paths = { gate: join(directory, 'gate'), fact: join(directory, 'fact') };
    copyFileSync(gate, paths.gate);
    copyFileSync(fact, paths.fact);
    for (const [path, mode] of [
      [directory, 0o755],
      [paths.gate, 0o644],
      [paths.fact, 0o000],
    ] as const)
      chmodSync(path, mode);
    const receiver = { peer: pair.a.certname, paths: { ...pair.b.paths, ...paths } } as unknown as Receiver;
    const uid = process.geteuid?.() ?? 0;
    if (uid === 0) process.seteuid?.(65534); // root may read everything
    const entered = enter(receiver, own).finally(() => process.seteuid?.(uid));
    await expect(entered).rejects.toMatchObject({
      class: 'refused',
      message: expect.stringContaining('cannot be read at this moment') as string,
    });
    rmSync(directory, { recursive: true });
  });

  const authorizedKeys = () =>
    createAuthorizedKeys({ path: pair.b.paths.authorizedKeys, program, root: pair.b.root, ownership: { mode: 0o640 } });

  it('over a connection that logged in with a narrowed key brings nothing, and logs in anew once the key is whole', async () => {
    const keys = authorizedKeys();
    const by = peer();
    await keys.write(pair.a.pairing, 'hello-only');
    await setGate({ role: 'active' });
    await expect(by.hello(signal)).resolves.toMatchObject({ gate: { role: 'active' } });
    await expect(by.confirm('{}', signal)).rejects.toThrow('its key for you brings nothing');
    await expect(send(by, drop(own, 1))).rejects.toThrow('is active itself');
    await setGate();
    await expect(send(by, drop(own, 1))).rejects.toThrow('your connection is older than that');
    await expect(by.confirm('{}', signal)).rejects.toThrow('your connection is older than that');
    expect(existsSync(ready(own, 1))).toBe(false);
    await keys.write(pair.a.pairing, 'drops');
    await expect(by.receipts('sync-files', 0, 0, signal)).resolves.toBeInstanceOf(Array);
    await send(by, drop(own, 1));
    expect(existsSync(ready(own, 1))).toBe(true);
  });

  it('that finds its login old while others do the same breaks off none of theirs', async () => {
    const keys = authorizedKeys();
    const by = peer();
    await keys.write(pair.a.pairing, 'hello-only');
    await by.hello(signal);
    await keys.write(pair.a.pairing, 'drops');
    const asked = Array.from({ length: 8 }, () => by.receipts('sync-files', 0, 0, signal));
    const sent = send(by, drop(own, 1, { big: randomBytes(4 * 1024 * 1024) }));
    await expect(Promise.all([sent, ...asked])).resolves.toBeDefined();
    expect(existsSync(ready(own, 1))).toBe(true);
  });

  it('with the key of another peer is refused by the name of that key', async () => {
    const keys = authorizedKeys();
    await keys.write({ ...pair.a.pairing, certname: 'mallory.test' }, 'drops');
    await expect(send(peer(), drop(own, 1))).rejects.toThrow('not from mallory.test');
    await keys.write(pair.a.pairing, 'drops');
  });

  it('under a gate that closes while it runs publishes nothing', async () => {
    const files = { big: randomBytes(8 * 1024 * 1024) };
    const sending = send(peer({ bandwidthLimit: 8_000 }), drop(own, 2, files));
    sending.catch(() => undefined); // awaited below
    const refused = () =>
      expect(sending).rejects.toMatchObject({
        class: 'refused',
        message: expect.stringContaining('closed: promoting') as string,
      });
    await until('staging to fill', () => existsSync(join(home(), 'staging/big')));
    await setGate({ closed: 'promoting' });
    await refused();
    expect(existsSync(ready(own, 2))).toBe(false);
  });

  it('of which nothing can be read is refused in words, not in a broken protocol', async () => {
    await expect(send(peer(), { ...drop(own, 1), stream: 'other' })).rejects.toThrow('unknown stream');
  });

  it('of a higher epoch lies in the inbox for root to judge', async () => {
    const higher = { number: 6, id: 'c'.repeat(16) };
    await send(peer(), drop(higher, 1, { file: 'content' }));
    expect(readFileSync(join(ready(higher, 1), 'file'), 'utf8')).toBe('content');
    expect(existsSync(join(home(), 'staging'))).toBe(false);
  });

  it('that is newer ends an older one that is stuck, and not the other way round', async () => {
    const stuck = startChild({
      file: 'ssh',
      args: [...thiefOf(pair).login(), `${signed(pair, pushWords(own, 7))} ${serverWords}`],
    });
    const inStaging = (): number[] => processesWhere(({ cwd }) => cwd === join(home(), 'staging'));
    await until('its rsync', () => inStaging().length > 0);
    for (const pid of inStaging()) process.kill(pid, 'SIGSTOP');
    await expect(send(peer(), drop(own, 6))).rejects.toMatchObject({
      class: 'refused',
      message: expect.stringContaining('busy') as string,
    });
    expect(inStaging()).toHaveLength(1);
    await send(peer(), drop(own, 8, { file: 'newer' }));
    expect(readFileSync(join(ready(own, 8), 'file'), 'utf8')).toBe('newer');
    expect(existsSync(ready(own, 7))).toBe(false);
    await expect(stuck.ended).resolves.not.toBe('ended with exit code 0');
  });

  const megabyte = 1024 * 1024;
  it.each([
    [
      "the sender's rsync",
      () => processesWhere(({ command }) => command.startsWith('rsync ') && command.includes(pair.a.paths.outbox)),
    ],
    ["the spare's rsync", () => processesWhere(({ cwd }) => cwd === join(home(), 'staging'))],
    [
      'the ssh master',
      () => processesWhere(({ command }) => command.includes(' -M -N ') && command.includes(pair.a.paths.run)),
    ],
  ])('cut by kill -9 of %s in the middle of a big file goes on where it was', { timeout: 60_000 }, async (_, find) => {
    const big = randomBytes(32 * megabyte);
    const what = drop(own, 3, { big });
    const cut = send(peer({ bandwidthLimit: 24_000 }), what);
    cut.catch(() => undefined); // awaited below
    const staged = join(home(), 'staging/big');
    await until('half of it to be there', () => existsSync(staged) && statSync(staged).size > 16 * megabyte);
    for (const pid of find()) process.kill(pid, 'SIGKILL');
    await expect(cut).rejects.toMatchObject({ class: 'unreachable' });
    const counted = join(pair.a.root, `sent-${Math.random()}`);
    await send(peer({ counted }), what);
    expect(Number(readFileSync(counted, 'utf8'))).toBeLessThan(17 * megabyte);
    expect(readFileSync(join(ready(own, 3), 'big')).equals(big)).toBe(true);
  });
});
