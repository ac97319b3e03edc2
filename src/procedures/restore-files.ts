import { lstat, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Failure } from '../errors.ts';
import { good, note, type Finding } from '../rules/findings.ts';
import { timeInName } from '../rules/generation.ts';
import type { Generation } from '../rules/history.ts';
import { counted } from '../rules/spoken.ts';
import { copyFileAtomic, sha256File } from '../system/files.ts';
import { listFiles } from '../system/trees.ts';
import type { Procedure, ProcedureStep } from './procedure.ts';

export interface RestoreFilesParts {
  readonly root: string;
  readonly generation: Generation;
  /** Where the files of that generation are kept. */
  readonly source: string;
  /** Where what a restore replaces is kept: `archive/replaced-files`. */
  readonly kept: string;
  readonly role: 'active' | 'passive' | 'suspended';
  readonly now: () => Date;
}

/** Puts files back as they were before a drop, or an edit, replaced them. What was there is kept first. */
export function restoreFiles(parts: RestoreFilesParts, subject: string): Procedure {
  const { generation, role } = parts;
  const what =
    generation.place === undefined
      ? `as they were edited here until ${generation.at}`
      : `as they were here before drop ${generation.id}`;
  return {
    ...{ verb: 'restore', subject },
    title: `Put files back ${what}`,
    consequences: [
      'Each file keeps the owner and the mode that it has now. Files that came with that drop stay.',
      ...(role === 'passive'
        ? [
            'This master is a spare: its agent puts back what the active has. To make it last, edit the file on the active.',
          ]
        : []),
    ],
    probes: [() => whatChanges(parts)],
    steps: stepsOf(parts),
    pointOfNoReturn: 'place', // what was there is kept, and can be put back in the same way
    left: () => Promise.resolve(['what was there before is kept, too: pe-failover history --component files']),
  };
}

/** Files that are kept, and differ from what is live. Links are left to people. */
async function differing({ root, source }: RestoreFilesParts): Promise<string[]> {
  const found: string[] = [];
  for (const path of await listFiles(source)) {
    if (!(await isFile(join(source, path)))) continue;
    const live = join(root, path);
    if (!(await isFile(live)) || (await sha256File(live)) !== (await sha256File(join(source, path)))) found.push(path);
  }
  return found;
}

const isFile = async (path: string): Promise<boolean> => (await lstat(path).catch(() => undefined))?.isFile() === true;

async function whatChanges(parts: RestoreFilesParts): Promise<readonly Finding[]> {
  const kept = await listFiles(parts.source);
  if (kept.length === 0)
    throw new Failure('usage', 'no file of that generation is kept here', { where: parts.generation.id });
  const paths = await differing(parts);
  return [
    good(`${counted(kept.length, 'file')} kept of that generation`),
    ...paths.map((path) => note(`/${path} is another one now`)),
    ...(paths.length === 0 ? [note('they are like that already')] : []),
  ];
}

const mark = ({ generation }: RestoreFilesParts): string => `-before-restore-${generation.id}`;

function stepsOf(parts: RestoreFilesParts): readonly ProcedureStep[] {
  const isLive = async (): Promise<boolean> => (await differing(parts)).length === 0;
  return [
    { name: 'keep', says: `keep what is there now, in ${parts.kept}`, do: () => keepLive(parts), isDone: isLive },
    {
      name: 'place',
      says: `put the files of ${parts.generation.id} in their places`,
      do: () => place(parts),
      isDone: isLive,
    },
  ];
}

async function keepLive(parts: RestoreFilesParts): Promise<void> {
  const home = join(parts.kept, `${timeInName(parts.now())}${mark(parts)}`);
  await mkdir(home, { recursive: true, mode: 0o700 });
  for (const path of await differing(parts)) {
    const live = join(parts.root, path);
    if (!(await isFile(live))) continue;
    await mkdir(dirname(join(home, path)), { recursive: true, mode: 0o700 });
    await copyFileAtomic(live, join(home, path), { mode: 0o600 });
  }
}

async function place(parts: RestoreFilesParts): Promise<void> {
  for (const path of await differing(parts)) {
    const live = join(parts.root, path);
    const found = await lstat(live).catch(() => undefined);
    if (found !== undefined && !found.isFile())
      throw new Failure('refused', 'something else is in the place of a file', {
        where: live,
        hint: 'Move it away, then type it again',
      });
    const { mode = 0o600, uid, gid } = found ?? {};
    await copyFileAtomic(join(parts.source, path), live, {
      mode: mode & 0o7777,
      ...(uid === undefined || gid === undefined || process.getuid?.() !== 0 ? {} : { uid, gid }),
    });
  }
}
