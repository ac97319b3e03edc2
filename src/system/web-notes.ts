import { join } from 'node:path';
import { uptime } from 'node:os';
import type { Serving, Switching } from '../rules/health.ts';
import { readIfThere, removeIfThere, writeFileAtomic, type Ownership } from './files.ts';
import { inTurn } from './in-turn.ts';

// What the agent tells the web process, in the run directory: files of one line of JSON, gone with the next boot.

const servingFile = (directory: string): string => join(directory, 'serving.json');
const switchFile = (directory: string): string => join(directory, 'switch.json');

/** A copy of the certificates of the CA: the directories above Puppet's own may be closed to others. */
export const caCopy = (directory: string): string => join(directory, 'ca.pem');

/** Nothing where there is none yet. */
export async function copyCa({ directory, ownership }: NotePlace, path: string): Promise<void> {
  const [found, copied] = await Promise.all([path, caCopy(directory)].map(readIfThere));
  if (found !== undefined && found !== copied) await writeFileAtomic(caCopy(directory), found, ownership);
}

export interface WebNotes {
  readonly serving: Serving | undefined;
  readonly switching: Switching | undefined;
}

/** One that is missing or torn says nothing. */
export async function readWebNotes(directory: string): Promise<WebNotes> {
  const [serving, switching] = await Promise.all([servingFile(directory), switchFile(directory)].map(readNote));
  return { serving: serving as Serving | undefined, switching: switching as Switching | undefined };
}

async function readNote(path: string): Promise<object | undefined> {
  try {
    const value: unknown = JSON.parse((await readIfThere(path)) ?? 'null');
    const isNote = typeof value === 'object' && value !== null && 'format' in value && value.format === 1;
    return isNote && 'up' in value && typeof value.up === 'number' ? value : undefined;
  } catch {
    return undefined;
  }
}

export interface NotePlace {
  readonly directory: string;
  readonly ownership: Ownership;
}

export async function writeServing(
  { directory, ownership }: NotePlace,
  words: Omit<Serving, 'format' | 'up'>,
): Promise<void> {
  await writeNote(servingFile(directory), { format: 1, up: uptime(), ...words } satisfies Serving, ownership);
}

const writeNote = (path: string, note: Serving | Switching, ownership: Ownership): Promise<void> =>
  writeFileAtomic(path, `${JSON.stringify(note)}\n`, ownership);

/** Tells who asks that a database is being switched. Neither way throws: that nobody could be told keeps no switch up. */
export interface SwitchNote {
  begin(database: string): Promise<void>;
  /** Also where none began. */
  end(): Promise<void>;
}

const repeatMs = 5_000;

/** Repeated until `end`, because what a killed process said counts for seconds only. One at a time: under the lock of services. */
export function createSwitchNote({ directory, ownership }: NotePlace, now: () => Date): SwitchNote {
  const turn = inTurn();
  let repeating: NodeJS.Timeout | undefined;
  const end = async (): Promise<void> => {
    clearInterval(repeating);
    repeating = undefined;
    await turn(() => removeIfThere(switchFile(directory))).catch(() => undefined);
  };
  return {
    begin: async (database) => {
      clearInterval(repeating);
      const since = now().toISOString();
      const say = (): Promise<void> =>
        turn(() => writeNote(switchFile(directory), { format: 1, up: uptime(), since, database }, ownership)).catch(
          () => undefined,
        );
      await say();
      repeating = setInterval(() => void say(), repeatMs).unref();
    },
    end,
  };
}
