import { lstat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { hookEvents } from '../rules/hooks.ts';
import type { Paths } from '../rules/paths.ts';
import { openHostileTree } from '../system/beneath.ts';
import { ensureDirectory, hasOwnership, type Ownership } from '../system/files.ts';
import type { Change } from './change.ts';

export interface DirectoryParts {
  readonly paths: Paths;
  /** Gives files away: root on its own machine only. */
  readonly system: boolean;
  /** Name of the transfer user. */
  readonly user: string;
  readonly transferIds: () => Promise<{ uid: number; gid: number } | undefined>;
}

/** Every directory of ours, with its mode and owner. */
export const directories = (parts: DirectoryParts): Change[] => [
  ...listed(parts.paths).map((directory) => directoryChange(parts, directory)),
  hookDirectories(parts),
];

/** One for each event of hooks, so that an admin sees which there are. */
function hookDirectories({ paths, system }: DirectoryParts): Change {
  const wanted = { mode: 0o700, ...(system ? { uid: 0, gid: 0 } : {}) };
  const all = ['', ...hookEvents].map((name) => join(paths.hooks, name));
  return {
    what: `make ${paths.hooks} with a directory for each event (700, root)`,
    isNeeded: async () => (await Promise.all(all.map((path) => hasOwnership(path, wanted)))).includes(false),
    make: async () => {
      for (const path of all) await ensureDirectory(path, wanted);
    },
  };
}

interface Directory {
  readonly path: string;
  readonly mode: number;
  readonly owner: 'root' | 'root:transfer' | 'transfer';
}

const streamsOfInbox = ['sync-certs', 'sync-files', 'nc-dump'];

/** The gate (transfer user) writes into the inbox alone, and reads what root put into state for it. */
function listed(paths: Paths): Directory[] {
  const rootOnly = [
    paths.streams,
    paths.locks,
    paths.holds,
    paths.journal,
    paths.outbox,
    paths.taken,
    paths.archive,
    paths.store,
    paths.keyFiles,
    paths.work,
  ];
  const inbox = ['', '/messages', ...streamsOfInbox.flatMap((stream) => [`/${stream}`, `/${stream}/ready`])];
  return [
    { path: dirname(paths.config), mode: 0o700, owner: 'root' },
    { path: paths.keys.directory, mode: 0o700, owner: 'root' },
    { path: dirname(paths.fact), mode: 0o755, owner: 'root' },
    { path: dirname(paths.events), mode: 0o700, owner: 'root' },
    { path: paths.data, mode: 0o710, owner: 'root:transfer' },
    { path: paths.state, mode: 0o710, owner: 'root:transfer' },
    { path: paths.receipts, mode: 0o750, owner: 'root:transfer' },
    { path: paths.replies, mode: 0o750, owner: 'root:transfer' },
    ...inbox.map((name) => ({ path: `${paths.inbox}${name}`, mode: 0o700, owner: 'transfer' as const })),
    ...rootOnly.map((path) => ({ path, mode: 0o700, owner: 'root' as const })),
    { path: paths.home, mode: 0o755, owner: 'root' },
  ];
}

/** Where the drops of a stream arrive. */
export const makeInbox = (paths: Paths, stream: string, owner: Omit<Ownership, 'mode'>): Promise<void> =>
  makeInInbox(paths, `${stream}/ready`, { mode: 0o700, ...owner });

/** The transfer user may put a link anywhere below its inbox: nothing is made there by its path. */
async function makeInInbox({ inbox }: Pick<Paths, 'inbox'>, below: string, ownership: Ownership): Promise<void> {
  await using disposing = new AsyncDisposableStack();
  let tree = disposing.use(await openHostileTree(inbox));
  for (const name of below.split('/')) tree = disposing.use(await tree.make(name, ownership));
}

function directoryChange({ paths, ...parts }: DirectoryParts, { path, mode, owner }: Directory): Change {
  const inInbox = path.startsWith(`${paths.inbox}/`) ? path.slice(paths.inbox.length + 1) : undefined;
  const wanted = async (): Promise<Ownership> => {
    if (!parts.system) return { mode };
    const { uid, gid } = (await parts.transferIds()) ?? { uid: 0, gid: 0 };
    return owner === 'transfer' ? { mode, uid, gid } : { mode, uid: 0, gid: owner === 'root' ? 0 : gid };
  };
  return {
    what: `make ${path} (${mode.toString(8)}, ${owner.replace('transfer', parts.user)})`,
    isNeeded: async () =>
      (await lstat(path).catch(() => undefined))?.isDirectory() !== true || !(await hasOwnership(path, await wanted())),
    make: async () =>
      inInbox === undefined ? ensureDirectory(path, await wanted()) : makeInInbox(paths, inInbox, await wanted()),
  };
}
