import { existsSync } from 'node:fs';
import { link, lstat, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure, isErrno } from '../errors.ts';
import { dropName, manifestName } from '../rules/manifest.ts';
import type { Quota } from '../rules/inbox-quota.ts';
import { serverArguments } from '../rules/push-options.ts';
import { passDescriptors, startChild } from '../system/exec.ts';
import { mountPointOf } from '../system/file-systems.ts';
import { readIfThere, syncDirectory } from '../system/files.ts';
import { acquireLock, endHolders, lockHolder, type Lock } from '../system/lock.ts';
import { receiptFor, type Answer } from './answers.ts';
import { enter, streamDirectory, type PushPoint, type Receiver } from './gate.ts';
import { quotaOf, withinQuota, type Measured } from './quota.ts';
import type { Request } from './request.ts';

type Push = Extract<Request, { verb: 'push' }>;

/** How long a push waits for root's word on what it brought; later words are asked for with `receipts`. */
const waitForReceiptMs = 2_000;

/** Takes one drop into the inbox: staged by rsync, published by one rename. Believing it is root's business. */
export async function takePush(receiver: Receiver, push: Push): Promise<Answer> {
  const home = streamDirectory(receiver.paths, push.stream);
  const at = (point: PushPoint): void => receiver.progress?.(point);
  await enter(receiver, push.epoch);
  const quota = await quotaOf(receiver.paths);
  if (!existsSync(home)) throw new Failure('refused', 'refused', { why: `${push.stream} is not taken in here` });
  at('entered');
  {
    await using lock = await takeLock(home, push);
    at('locked');
    const staging = await prepareStaging(home, push);
    at('staging');
    const measured = { paths: receiver.paths, stream: push.stream, staging, quota };
    // Killed, not asked: rsync would tell its other half, which would not wait for our words.
    await withinQuota(measured, { work: () => runRsync(measured, push, lock), end: () => endHolders(lockOf(home)) });
    at('arrived');
    await enter(receiver, push.epoch);
    await publish(home, staging, push);
    at('published');
  }
  const receipt = await receiptFor(receiver.paths, push, waitForReceiptMs);
  at('answering');
  return { published: true, ...(receipt === undefined ? {} : { receipt }) };
}

const lockOf = (home: string): string => join(home, 'lock');

/** A newer push ends an older one that still hangs here: its sender has given up on it. */
async function takeLock(home: string, push: Push): Promise<Lock> {
  const path = lockOf(home);
  const what = dropName(push);
  return await acquireLock(path, what).catch(async (error: unknown) => {
    const holder = await lockHolder(path);
    if (holder !== undefined && !isOlder(holder.what, push)) throw error;
    await endHolders(path);
    return await acquireLock(path, what);
  });
}

function isOlder(holding: string, push: Push): boolean {
  const [epoch, sequence] = holding.split('-');
  return epoch !== `${push.epoch.number}.${push.epoch.id}` || Number(sequence) <= push.sequence;
}

/** What a cut left is resumed, but only by a push of the same digest. */
async function prepareStaging(home: string, { digest }: Push): Promise<string> {
  const staging = join(home, 'staging');
  const mark = join(home, 'staging.digest');
  if ((await readIfThere(mark)) !== digest) {
    await rm(staging, { recursive: true, force: true });
    await writeFile(mark, digest, { mode: 0o600 });
  }
  await mkdir(staging, { recursive: true, mode: 0o700 });
  await mkdir(join(home, 'basis'), { recursive: true, mode: 0o700 });
  return staging;
}

/** What an rsync may do is limited by the kernel, too: also when nobody watches it any more. */
async function runRsync({ staging, quota }: Measured, push: Push, lock: Lock): Promise<void> {
  const args = [...limitsOf(quota), 'rsync', ...serverArguments(push.options)];
  const command = { file: 'prlimit', args, name: 'rsync', cwd: staging };
  const rsync = passDescriptors.run([lock.descriptor], () => startChild(command, ['inherit', 'inherit', 'inherit']));
  const how = await rsync.ended;
  if (how === `ended with exit code ${couldNotWrite}`)
    throw new Failure('dependency', 'push broke off', couldNotBeWritten(staging));
  if (how !== 'ended with exit code 0') throw new Failure('unreachable', 'push broke off', { why: `rsync ${how}` });
}

/** A list of 300,000 files takes 40 MB. */
const memoryOfRsync = 1024 ** 3;
/** The kernel counts all of the user's, logins of a thief too: far more than honest ones need. */
const processesOfUser = 1024;
const limitsOf = ({ size }: Quota): string[] => [
  ...['--core=0', '--nofile=64', `--nproc=${processesOfUser}`, `--as=${memoryOfRsync}`],
  `--fsize=${size}`,
];

function couldNotBeWritten(staging: string): { why: string; hint: string } {
  const where = mountPointOf(staging);
  return { why: `a file could not be written here: is ${where} full?`, hint: `See: df -h ${where}` };
}

/** rsync's RERR_FILEIO. */
const couldNotWrite = 11;

async function publish(home: string, staging: string, push: Push): Promise<void> {
  const manifest = await lstat(join(staging, manifestName)).catch(() => undefined);
  if (manifest === undefined) throw new Failure('bad-data', 'drop refused', { why: `${manifestName} is missing` });
  const ready = join(home, 'ready');
  if (push.options.bulk) await renewBasis(home, staging);
  await rm(join(home, 'staging.digest'), { force: true });
  await rename(staging, join(ready, dropName(push))).catch(async (error: unknown) => {
    if (!isErrno(error, 'ENOTEMPTY', 'EEXIST')) throw error;
    await rm(staging, { recursive: true, force: true }); // pushed again because the answer was lost: it lies there already
  });
  await syncDirectory(ready);
}

/** Hard links of the newest drop, from which rsync builds the next one. */
async function renewBasis(home: string, staging: string): Promise<void> {
  const basis = join(home, 'basis');
  await rm(basis, { recursive: true, force: true });
  await linkTree(staging, basis);
}

async function linkTree(from: string, to: string): Promise<void> {
  await mkdir(to, { mode: 0o700 });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await linkTree(source, target);
    else if (entry.isFile()) await link(source, target);
  }
}
