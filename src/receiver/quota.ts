import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../errors.ts';
import { judgeExtent, overQuota, overQuotaName, type OverQuota, type Quota } from '../rules/inbox-quota.ts';
import { extentOf, roomOf } from '../system/extent.ts';
import { mountPointOf } from '../system/file-systems.ts';
import { readGate, type ReceiverPaths } from './gate.ts';

/** A push, in bytes and files: what it writes goes to `staging`, which is removed where it is too much. */
export interface Measured {
  readonly paths: ReceiverPaths;
  readonly stream: string;
  readonly staging: string;
  readonly quota: Quota;
}

export async function quotaOf(paths: ReceiverPaths): Promise<Quota> {
  const gate = await readGate(paths.gate);
  if (gate?.quota !== undefined) return gate.quota;
  const hint = `On ${gate?.certname ?? 'the spare'}, type: systemctl restart pe-failover`;
  throw new Failure('refused', 'refused', { why: 'the gate file is of an older pe-failover and names no quota', hint });
}

interface Work {
  work(): Promise<void>;
  /** Ends it at once. */
  end(): Promise<void>;
}

/** Looks before the work, all the time while it goes on, and behind it: what is published keeps within the quota. */
export async function withinQuota(push: Measured, { work, end }: Work): Promise<void> {
  let excess = excessOf(push);
  if (excess === undefined) {
    const endWatch = watch(push, () => void end());
    try {
      await work();
    } catch (error) {
      excess = excessOf(push);
      if (excess === undefined) throw error;
    } finally {
      endWatch();
    }
    excess ??= excessOf(push);
  }
  if (excess !== undefined) throw await refuse(push, excess);
}

function excessOf({ paths, stream, staging, quota }: Measured): OverQuota | undefined {
  const all = extentOf(paths.inbox);
  const key = judgeExtent(quota, all, extentOf(staging), roomOf(staging));
  return key === undefined ? undefined : { stream, key, ...all };
}

/** The longer a look takes, the longer is the pause behind it: at most a fifth of the time is spent on looking. */
function watch(push: Measured, over: () => void): () => void {
  let timer: NodeJS.Timeout;
  const next = (tookMs: number): void => {
    timer = setTimeout(look, Math.max(lookEveryMs, tookMs * 4));
  };
  const look = (): void => {
    const began = performance.now();
    if (isWithin(push)) next(performance.now() - began);
    else over();
  };
  next(0);
  return () => clearTimeout(timer);
}

const lookEveryMs = 200;

/** What cannot be looked at is not let go on: why it cannot is said by the look behind the work. */
function isWithin(push: Measured): boolean {
  try {
    return excessOf(push) === undefined;
  } catch {
    return false;
  }
}

/** The agent is told, which says it in this master's log. Told first: removing may take long. */
async function refuse({ paths, staging, quota }: Measured, excess: OverQuota): Promise<Failure> {
  const temporary = join(paths.inbox, `.over-quota.${process.pid}`);
  await writeFile(temporary, JSON.stringify(excess), { mode: 0o600 })
    .then(() => rename(temporary, join(paths.inbox, overQuotaName)))
    .catch(() => rm(temporary, { force: true })); // a full disk may have no room for it
  await rm(staging, { recursive: true, force: true });
  await rm(`${staging}.digest`, { force: true });
  const certname = (await readGate(paths.gate))?.certname ?? 'the spare';
  return overQuota(excess, quota, certname, mountPointOf(paths.inbox));
}
