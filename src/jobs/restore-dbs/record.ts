import { join } from 'node:path';
import { Failure } from '../../errors.ts';
import type { DumpDetail } from '../../puppet/database-dump.ts';
import type { Epoch } from '../../rules/epoch.ts';
import type { DatabaseShape } from '../../rules/brakes-database.ts';
import type { Need } from '../../rules/manifest.ts';
import type { DropReference } from '../../rules/receipt.ts';
import type { Waiting } from '../../rules/waiting.ts';
import { readIfThere, writeFileAtomic } from '../../system/files.ts';

/** A drop that is loaded and checked. Written after the check, with the OID: a database of that name alone proves nothing. */
export interface Staged {
  readonly drop: DropReference;
  readonly name: string;
  readonly oid: number;
  readonly build: string;
  readonly needs: readonly Need[];
  readonly detail: DumpDetail;
  /** Undefined: loaded by an older version of this program. */
  readonly shape?: DatabaseShape;
  /** The receipt `staged` is written. */
  readonly reported?: true;
  /** Differs from the live one only in what changes by use: waits by design. */
  readonly byUse?: true;
}

/** What the spare remembers of one database between passes. */
export interface RestoreRecord {
  readonly format: 1;
  readonly staged?: Staged;
  /** A content that did not load or was not healthy: refused until `release`. */
  readonly quarantined?: { readonly drop: DropReference; readonly why: string };
  readonly waiting?: Waiting;
  /** A database of an active was live here before: what differs much from it now looks like a mistake. `true`: of an older version. */
  readonly followed?: Followed | true | undefined;
}

/** The last database of an active that was live here. */
export interface Followed {
  readonly epoch: Epoch;
  /** As in a shape; undefined: loaded by an older version of this program. */
  readonly rows?: DatabaseShape['rows'] | undefined;
}

export interface RecordStore {
  read(): Promise<RestoreRecord>;
  write(record: RestoreRecord): Promise<void>;
}

export function createRecordStore(directory: string, database: string): RecordStore {
  const path = join(directory, `restore-${database}.json`);
  return {
    read: async () => {
      const text = await readIfThere(path);
      if (text === undefined) return { format: 1 };
      try {
        return JSON.parse(text) as RestoreRecord;
      } catch (cause) {
        const hint = `Remove it: rm ${path}. The next dump is loaded anew`;
        throw new Failure('config', 'state file is unreadable', { where: path, hint, cause });
      }
    },
    write: (record) => writeFileAtomic(path, `${JSON.stringify(record)}\n`, { mode: 0o600 }),
  };
}
