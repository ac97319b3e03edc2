import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { hash8, installChanges, ownPairing, type InstallOrder } from '../../src/agent/installation.ts';
import { createAuthorizedKeys } from '../../src/drops/authorized-keys.ts';
import { noEpoch } from '../../src/drops/epoch-book.ts';
import { createGateFile } from '../../src/drops/gate-file.ts';
import { createSender, type Sender, type SenderParts } from '../../src/drops/sender.ts';
import { createSpare, type Spare, type SpareParts } from '../../src/drops/spare.ts';
import type { PassContext } from '../../src/jobs/job.ts';
import { peerIn } from '../../src/rules/gate.ts';
import type { Epoch } from '../../src/rules/epoch.ts';
import { formatPairing, type Pairing } from '../../src/rules/pairing.ts';
import { pathsFor, runDirectory, type Paths } from '../../src/rules/paths.ts';
import { systemClock } from '../../src/system/clock.ts';
import { exec } from '../../src/system/exec.ts';
import type { JobLog } from '../../src/system/log.ts';
import { loadSigner, type Signer } from '../../src/system/sign.ts';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { startSshd, type TestSshd } from './sshd.ts';

export const program = join(import.meta.dirname, '../../bin/pe-failover');
export const hostKeyOf = (root: string): string => join(root, 'etc/ssh/ssh_host_ed25519_key.pub');

export interface MemoryLog extends JobLog {
  readonly lines: string[];
}

export function memoryLog(): MemoryLog {
  const lines: string[] = [];
  return {
    lines,
    success: (message) => void lines.push(`[SUCCESS] ${message}`),
    warning: (message) => void lines.push(`[WARNING] ${message}`),
    failure: (message) => void lines.push(`[FAILURE] ${message}`),
  };
}

/** One installed master below a directory of its own. */
export interface TestMaster {
  readonly certname: string;
  readonly root: string;
  readonly paths: Paths;
  readonly signer: Signer;
  readonly pairing: Pairing;
  readonly log: MemoryLog;
}

export interface TestPair extends AsyncDisposable {
  readonly a: TestMaster;
  readonly b: TestMaster;
  readonly epoch: Epoch;
  readonly spare: Spare;
  /** The gate of b: restartable. */
  sshd: TestSshd;
  sender(more?: Partial<SenderParts>): Sender;
  context(master: TestMaster, extra?: Partial<PassContext>): PassContext;
}

const epochId = '00c0ffee00c0ffee';

export function pathsBelow(root: string): Paths {
  return pathsFor(root, runDirectory(root, userInfo().uid, hash8(realpathSync(root))));
}

/** Two masters on this machine, a active and b its spare, with a real sshd before b. `forcedCommand` replaces the gate's program. */
export async function startPair(options: { program?: string } = {}): Promise<TestPair> {
  const base = mkdtempSync(join(realpathSync(tmpdir()), 'pe-failover-pair-'));
  const [rootA, rootB] = [join(base, 'a'), join(base, 'b')];
  for (const root of [rootA, rootB]) mkdirSync(root);
  const pathsB = pathsBelow(rootB);
  const sshd = await startSshd(rootB, pathsB.authorizedKeys);
  writeHostKey(rootA);
  const hostKey = readFileSync(hostKeyOf(rootB), 'utf8').split(' ').slice(0, 2).join(' ');
  const a = await install(rootA, 'mastera.test', {
    role: 'active',
    passiveMaster: '127.0.0.1',
    alias: '127.0.0.1',
    passiveHostKey: hostKey,
    renewHostKey: false,
  });
  const b = await install(rootB, 'masterb.test', { role: 'passive', pairingLine: formatPairing(a.pairing) });
  const epoch = { number: 1, id: epochId };
  const spare = createTestSpare(b, a.pairing);
  await spare.introduce();
  await spare.gate.write({
    role: 'passive',
    epoch: { number: 0, id: '0000000000000000' },
    ...peerIn(a.pairing),
    fact: factHash(b),
  });
  const keys = createAuthorizedKeys({
    path: b.paths.authorizedKeys,
    program: options.program ?? program,
    root: rootB,
    ownership: { mode: 0o640 },
  });
  await keys.write(a.pairing, 'drops');
  const senders: Sender[] = [];
  const pair: TestPair = {
    a,
    b,
    epoch,
    spare,
    sshd,
    sender: (more) => {
      const sender = createTestSender(a, pair.sshd.port, epoch, '127.0.0.1', more);
      senders.push(sender);
      return sender;
    },
    context: (master, extra) => testContext(master, epoch, extra),
    [Symbol.asyncDispose]: async () => {
      for (const sender of senders) await sender.close();
      endOrphans(a);
      await pair.sshd[Symbol.asyncDispose]();
      for (const { paths } of [a, b]) rmSync(paths.run, { recursive: true, force: true });
      rmSync(base, { recursive: true, force: true });
    },
  };
  return pair;
}

/** Killed senders leave their connection behind; the next one to start would end it. */
function endOrphans({ paths }: TestMaster): void {
  for (const name of ['ssh-hot', 'ssh-bulk']) {
    spawnSync('ssh', ['-F', '/dev/null', '-S', join(paths.run, name), '-O', 'exit', '127.0.0.1'], { stdio: 'ignore' });
  }
}

export const factHash = (master: TestMaster): string =>
  createHash('sha256').update(readFileSync(master.paths.fact)).digest('hex');

export function createTestSender(
  master: TestMaster,
  port: number,
  epoch: Epoch,
  alias = '127.0.0.1',
  more: Partial<SenderParts> = {},
): Sender {
  return createSender({
    paths: master.paths,
    exec,
    clock: systemClock,
    log: master.log,
    signer: master.signer,
    epoch,
    origin: { source: master.certname, platform: 'puppet', build: 'test' },
    spare: { host: '127.0.0.1', port, user: userInfo().username, connectTimeoutSeconds: 3, hostKeyAlias: alias },
    bandwidthLimit: 0,
    sockets: join(master.paths.run, 'ssh'),
    introduced: () => Promise.resolve(),
    ...more,
  });
}

export function createTestSpare(master: TestMaster, source: Pairing, more: Partial<SpareParts> = {}): Spare {
  return createSpare({
    paths: master.paths,
    clock: systemClock,
    log: master.log,
    signer: master.signer,
    own: master.pairing,
    source: () => Promise.resolve(source),
    published: { mode: 0o640 },
    archives: (stream) => (stream.startsWith('sync-') ? 0 : 24),
    quota: { size: 1e9, files: 100_000, free: 1e6 },
    ...more,
  });
}

/** A pass by hand; the spare's fence is the real one. */
export function testContext(master: TestMaster, epoch: Epoch, extra: Partial<PassContext> = {}): PassContext {
  const gate = createGateFile(master.paths.gate, master.signer, master.certname, { mode: 0o640 }, () => new Date());
  const isSpare = master.certname === 'masterb.test';
  return {
    signal: new AbortController().signal,
    epoch,
    log: master.log,
    clock: systemClock,
    fence: () => (isSpare ? gate.fence('passive', noEpoch) : Promise.resolve()),
    cause: 'by hand',
    ...extra,
  };
}

function writeHostKey(root: string): void {
  const path = hostKeyOf(root);
  mkdirSync(dirname(path), { recursive: true });
  const blob = Buffer.concat([
    Buffer.from([0, 0, 0, 11]),
    Buffer.from('ssh-ed25519'),
    Buffer.from([0, 0, 0, 32]),
    randomBytes(32),
  ]);
  writeFileSync(path, `ssh-ed25519 ${blob.toString('base64')} test\n`);
}

/** A master that was installed before, by another process too. */
export async function openTestMaster(root: string, certname: string): Promise<TestMaster> {
  const paths = pathsBelow(root);
  const pairing = await ownPairing(paths, certname, hostKeyOf(root));
  return { certname, root, paths, signer: await loadSigner(paths.keys.signing), pairing, log: memoryLog() };
}

async function install(root: string, certname: string, order: InstallOrder): Promise<TestMaster> {
  const paths = pathsBelow(root);
  const parts = {
    paths,
    exec,
    system: false,
    user: 'pe-transfer',
    transferIds: () => Promise.resolve(undefined),
    program,
    sampleConfig: '---\n',
    newEpochId: () => epochId,
    machine: { certname },
    platform: 'puppet' as const,
  };
  for (const change of installChanges(parts, order)) if (await change.isNeeded()) await change.make();
  mkdirSync(paths.run, { recursive: true, mode: 0o700 });
  return openTestMaster(root, certname);
}
