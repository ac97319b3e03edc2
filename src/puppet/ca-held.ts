import { Failure } from '../errors.ts';
import { readIfThere, writeFileAtomic } from '../system/files.ts';

/** What was accepted but is not live because a hold keeps it: enough to make it live when it is released. */
export interface HeldCa {
  readonly id: string;
  readonly rule: string;
  /** `EPOCH-SEQUENCE` of the drop that brought it. */
  readonly drop: string;
  readonly files: readonly { readonly path: string; readonly sha256: string }[];
  readonly removals: readonly { readonly path: string; readonly sha256: string }[];
  /** Revocations that would be lost, hexadecimal. */
  readonly serials: readonly string[];
}

export interface HeldStore {
  read(): Promise<readonly HeldCa[]>;
  write(held: readonly HeldCa[]): Promise<void>;
}

export function openHeldStore(path: string): HeldStore {
  return {
    read: async () => {
      const text = await readIfThere(path);
      if (text === undefined) return [];
      try {
        const { format, held } = JSON.parse(text) as { format: unknown; held: HeldCa[] };
        if (format === 1 && Array.isArray(held)) return held;
        throw new Error('its format is another one');
      } catch (cause) {
        const hint = `What is held is asked for again after: mv ${path} ${path}.old`;
        throw new Failure('config', 'held changes are unreadable', { where: path, hint, cause });
      }
    },
    write: (held) => writeFileAtomic(path, JSON.stringify({ format: 1, held }), { mode: 0o600 }),
  };
}
