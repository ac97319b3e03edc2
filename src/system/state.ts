import { join } from 'node:path';
import { Failure } from '../errors.ts';
import { readIfThere, removeIfThere, writeFileAtomic, type Ownership } from './files.ts';

/** Small JSON files of one directory, each `{format: 1, ...}`. Nothing is cached: read again under the lock at each pass. */
export interface State {
  /** Undefined where nothing was written yet. Throws `config` with the path and the way out when unreadable. */
  read<T extends object>(name: string): Promise<T | undefined>;
  write(name: string, value: object): Promise<void>;
  remove(name: string): Promise<void>;
  readonly directory: string;
}

export function createState(directory: string, ownership: Ownership = { mode: 0o600 }): State {
  const path = (name: string): string => join(directory, `${name}.json`);
  return {
    directory,
    read: async <T extends object>(name: string) => {
      const text = await readIfThere(path(name));
      return text === undefined ? undefined : (parse(path(name), text) as T);
    },
    write: (name, value) =>
      writeFileAtomic(path(name), `${JSON.stringify({ format: 1, ...value }, undefined, 1)}\n`, ownership),
    remove: (name) => removeIfThere(path(name)),
  };
}

// Guessing would be worse than stopping: a lost epoch or sequence lets an old active write.
function parse(path: string, text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && 'format' in value && value.format === 1) return value;
  } catch (cause) {
    throw unreadable(path, 'it is torn or was edited', cause);
  }
  throw unreadable(path, 'it is not of format 1');
}

function unreadable(path: string, why: string, cause?: unknown): Failure {
  const hint = `Restore it from a backup, or move it away and type: pe-failover install`;
  return new Failure('config', 'state file is unreadable', {
    where: path,
    why,
    hint,
    ...(cause === undefined ? {} : { cause }),
  });
}
