import { Failure } from '../errors.ts';
import { isStream } from './manifest.ts';

/** How much may lie in an inbox; `free` is left on its file system, whatever the quota permits. Sizes in bytes. */
export interface Quota {
  readonly size: number;
  readonly files: number;
  readonly free: number;
}

export interface Extent {
  readonly bytes: number;
  /** Of files and directories. */
  readonly files: number;
}

/** What the file system says of itself; one that counts no files says 0 of them. */
export interface Room {
  readonly bytes: number;
  readonly freeBytes: number;
  readonly files: number;
  readonly freeFiles: number;
}

/** The key of the configuration by which a push was ended. */
export type ExcessKey = (typeof excessKeys)[number];
const excessKeys = ['inbox.size', 'inbox.files', 'retention.free_space'] as const;

export const isQuota = (value: unknown): value is Quota => {
  const { size, files, free } = Object(value) as Readonly<Record<string, unknown>>;
  return isCount(size, files, free);
};
const isCount = (...values: readonly unknown[]): boolean =>
  values.every((value) => Number.isFinite(value) && Number(value) >= 0);

/**
 * What of it is over, while a push goes on: `all` lies in the inbox, `grown` of it was brought by this push. A small push is
 * let in also where little is free, so that a certificate gets through: it may take half of what there was.
 */
export function judgeExtent(quota: Quota, all: Extent, grown: Extent, room: Room): ExcessKey | undefined {
  if (all.bytes > quota.size) return 'inbox.size';
  if (all.files > quota.files) return 'inbox.files';
  const kept = Math.min(quota.free, room.bytes / 10);
  const lacksBytes = room.freeBytes < kept && grown.bytes > room.freeBytes;
  const lacksFiles = room.freeFiles < room.files / 100 && grown.files > room.freeFiles;
  return lacksBytes || lacksFiles ? 'retention.free_space' : undefined;
}

const units = [
  [1e12, 'TB'],
  [1e9, 'GB'],
  [1e6, 'MB'],
] as const;

/** As the configuration has it: "20 GB", "1.5 MB", "12 kB". */
export function spokenSize(bytes: number): string {
  const [unit, name] = units.find(([least]) => bytes >= least) ?? [1e3, 'kB'];
  return `${Math.round((bytes / unit) * 10) / 10} ${name}`;
}

/** In the inbox: the last push that was ended for its size. */
export const overQuotaName = 'over-quota.json';

/** Written by the gate, said by the agent too: how much lay in the inbox when a push of that stream was ended. */
export interface OverQuota extends Extent {
  readonly stream: string;
  readonly key: ExcessKey;
}

/** What the gate noted is an unprivileged user's word. */
export const isOverQuota = (value: unknown): value is OverQuota => {
  const { stream, key, bytes, files } = Object(value) as Readonly<Record<string, unknown>>;
  return (
    typeof stream === 'string' && isStream(stream) && excessKeys.some((one) => one === key) && isCount(bytes, files)
  );
};

/** What the active hears, and the log of the spare says. `mount`: where the file system of the inbox is mounted. */
export function overQuota({ key, bytes, files }: OverQuota, quota: Quota, certname: string, mount: string): Failure {
  if (key === 'retention.free_space') {
    const why = `the disk of the inbox of ${certname} is nearly full`;
    const hint = `Free some space there; see what is missing: df -h ${mount}; df -i ${mount}`;
    return new Failure('dependency', 'refused', { where: mount, why, hint });
  }
  const limit = key === 'inbox.size' ? spokenSize(quota.size) : `${quota.files} files`;
  const why = `the inbox of ${certname} is over the quota of ${limit}, with ${spokenSize(bytes)} in ${files} files`;
  const hint = `If so much is right, set ${key} higher on ${certname}, and type there: systemctl restart pe-failover`;
  return new Failure('config', 'refused', { why, hint });
}
