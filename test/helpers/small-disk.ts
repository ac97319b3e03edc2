import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

export const noRoot = 'only root may mount a small disk to fill';

export interface SmallDisk extends Disposable {
  remount(how: 'ro' | 'rw'): void;
}

/** Puts a small disk under what is in a directory, until disposed of. Undefined where that is not allowed. */
export function mountSmall(directory: string, megabytes: number): SmallDisk | undefined {
  if (userInfo().uid !== 0) return undefined;
  mkdirSync(directory, { recursive: true });
  const aside = mkdtempSync(join(tmpdir(), 'full-disk-'));
  cpSync(directory, aside, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0700`, 'tmpfs', directory], {
      stdio: 'ignore',
    });
    cpSync(aside, directory, { recursive: true });
    return {
      remount: (how) => execFileSync('mount', ['-o', `remount,${how}`, directory]),
      [Symbol.dispose]: () => execFileSync('umount', ['-l', directory]),
    };
  } catch {
    return undefined;
  } finally {
    rmSync(aside, { recursive: true });
  }
}

/** Takes every byte that is left; the returned function gives them back. */
export function fill(directory: string): () => void {
  const path = join(directory, 'filler');
  for (const size of [1024 * 1024, 4096]) {
    try {
      for (;;) writeFileSync(path, Buffer.alloc(size), { flag: 'a' });
    } catch {
      continue; // full, for blocks of this size
    }
  }
  return () => rmSync(path);
}
