import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export interface FoundFile {
  readonly path: string;
  /** Who may read it besides its owner, by its mode and those of all directories above it. */
  readonly readers: 'nobody' | 'group' | 'all';
}

/** Every file below. */
export function* filesBelow(directory: string, way = 0o077): Generator<FoundFile> {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    const found = lstatSync(path, { throwIfNoEntry: false });
    // Each who may enter a directory may do below it what is allowed there.
    if (found?.isDirectory() === true) yield* filesBelow(path, way & ((found.mode & 0o011) * 7));
    else if (found?.isFile() === true) {
      const open = found.mode & way;
      yield { path, readers: (open & 0o004) !== 0 ? 'all' : (open & 0o040) !== 0 ? 'group' : 'nobody' };
    }
  }
}
