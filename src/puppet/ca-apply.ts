import { open } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { changedPaths, type CaAction, type CaPlan } from '../rules/ca-plan.ts';
import type { IssuerDecision } from '../rules/crl.ts';
import { firstBytes } from '../rules/first-bytes.ts';
import { appendix, missingLines } from '../rules/inventory.ts';
import type { ManifestFile } from '../rules/manifest.ts';
import { formatSerial, parseSerial } from '../rules/serial.ts';
import type { Accounts } from '../system/accounts.ts';
import { appendWhole } from '../system/append-whole.ts';
import { readCertificates, type Certificate, type Crl } from '../system/certificates.ts';
import type { Exec } from '../system/exec.ts';
import {
  copyFileAtomic,
  ensureDirectory,
  naming,
  readBytesIfThere,
  readIfThere,
  removeIfThere,
  sha256File,
  syncDirectory,
  writeFileAtomic,
} from '../system/files.ts';
import { inParallel } from '../system/in-parallel.ts';
import type { Step } from '../system/journal.ts';
import { liveOwnership, ownershipOf } from './ca-ownership.ts';
import { infraStep } from './ca-infra.ts';
import { bundleOf, type CrlSources } from './ca-crl.ts';
import { liveLists, type LiveCa } from './ca-live.ts';

export interface CaApply {
  readonly live: LiveCa;
  readonly plan: CaPlan;
  /** Where the content with this hash lies that goes live as this path. */
  readonly source: (path: string, sha256: string) => string;
  /** Owner and mode for what is not live yet. */
  readonly described: (path: string) => Pick<ManifestFile, 'mode' | 'owner' | 'group'> | undefined;
  readonly accounts: Accounts;
  /** A directory that gets a copy of everything that is replaced or removed. */
  readonly archive: string;
  readonly crls: CrlSources;
  /** Which list of each issuer goes live, given those that are live. */
  readonly decideCrls: (live: readonly Crl[]) => readonly IssuerDecision[];
  /** The same for infra_crl.pem, whose lists are only ever united. */
  readonly decideInfra: (incoming: readonly Crl[], live: readonly Crl[]) => readonly IssuerDecision[];
  readonly authorities: readonly Certificate[];
  readonly exec: Exec;
  readonly signal: AbortSignal;
}

const width = 16;

/**
 * The live part of an apply, as steps that are always rolled forward. INVARIANT: each may be killed anywhere and run
 * again, made from a plan that was decided anew; after each the directory is a valid CA.
 */
export function applySteps(apply: CaApply): Step[] {
  const of = <Kind extends CaAction['kind']>(...kinds: Kind[]): Extract<CaAction, { kind: Kind }>[] =>
    apply.plan.actions.filter((action): action is Extract<CaAction, { kind: Kind }> =>
      (kinds as string[]).includes(action.kind),
    );
  return [
    archiveStep(apply),
    eachStep(
      'serial',
      of('serial'),
      (action) => serialIsRaised(apply, action),
      (action) => raise(apply, action),
    ),
    eachStep(
      'inventory',
      of('inventory'),
      (action) => linesAreThere(apply, action),
      (action) => append(apply, action),
    ),
    placeStep(apply, 'certificates', of('certificate')),
    placeStep(apply, 'ca', of('ca')),
    eachStep(
      'crl',
      of('crl'),
      () => crlIsLive(apply),
      () => placeCrl(apply),
    ),
    infraStep(apply, of('infra')),
    removeStep(apply, of('remove')),
  ];
}

type Action<Kind extends CaAction['kind']> = Extract<CaAction, { kind: Kind }>;

/** What goes or is replaced is copied away first, certificates by serial. Keys never are. */
function archiveStep({ live, plan, archive }: CaApply): Step {
  const touched = changedPaths(plan);
  return {
    name: 'archive',
    isDone: async () => touched.length === 0,
    do: async () => {
      await ensureDirectory(archive, { mode: 0o700 });
      await inParallel(touched, width, async (path) => {
        const content = await readBytesIfThere(live.path(path));
        if (content === undefined) return;
        await writeFileAtomic(join(archive, await archiveName(path, content)), content, { mode: 0o600 });
      });
    },
  };
}

/** `SERIAL-NAME.pem`, or the file's own name where it is no certificate. */
async function archiveName(path: string, content: Buffer): Promise<string> {
  if (!path.startsWith('signed/')) return basename(path);
  try {
    return firstBytes(`${formatSerial(readCertificates(content, path)[0]?.serial ?? 0n)}-${basename(path)}`, 255);
  } catch {
    return basename(path);
  }
}

function eachStep<Action>(
  name: string,
  actions: readonly Action[],
  isDone: (action: Action) => Promise<boolean>,
  act: (action: Action) => Promise<void>,
): Step {
  return {
    name,
    isDone: async () => (await Promise.all(actions.map(isDone))).every(Boolean),
    do: async () => {
      for (const action of actions) await act(action);
    },
  };
}

async function serialIsRaised({ live }: CaApply, { value }: Action<'serial'>): Promise<boolean> {
  return (parseSerial(await live.text('serial')) ?? 0n) >= value;
}

// puppetserver may have signed meanwhile: never below what is there now.
async function raise(apply: CaApply, action: Action<'serial'>): Promise<void> {
  if (await serialIsRaised(apply, action)) return;
  await writeFileAtomic(apply.live.path('serial'), formatSerial(action.value), await ownershipOf(apply, 'serial'));
}

async function linesAreThere({ live }: CaApply, { lines }: Action<'inventory'>): Promise<boolean> {
  return missingLines(await live.text('inventory.txt'), lines).length === 0;
}

// puppetserver appends too: one write with O_APPEND each, never a rename.
async function append(apply: CaApply, { lines }: Action<'inventory'>): Promise<void> {
  const path = apply.live.path('inventory.txt');
  const present = await readIfThere(path);
  const { mode, uid, gid } = await ownershipOf(apply, 'inventory.txt');
  const handle = await open(path, 'a+', mode);
  try {
    if (present === undefined) await handle.chown(uid ?? -1, gid ?? -1);
    if (present === undefined) await handle.chmod(mode);
    await naming(path, async () => {
      await appendWhole(handle, appendix(present ?? '', missingLines(present ?? '', lines)));
      await handle.sync();
    });
  } finally {
    await handle.close();
  }
  if (present === undefined) await syncDirectory(apply.live.cadir);
}

function placeStep(apply: CaApply, name: string, actions: readonly Action<'certificate' | 'ca'>[]): Step {
  const isLive = async ({ path, sha256 }: (typeof actions)[number]): Promise<boolean> =>
    (await apply.live.hashes([path], () => undefined)).get(path) === sha256;
  return {
    name,
    isDone: async () => (await Promise.all(actions.map(isLive))).every(Boolean),
    do: async () => {
      if (name === 'certificates') await ensureSigned(apply);
      await inParallel(actions, width, async (action) => {
        const { path, sha256 } = action;
        if (await isLive(action)) return;
        await copyFileAtomic(apply.source(path, sha256), apply.live.path(path), await ownershipOf(apply, path));
      });
    },
  };
}

async function ensureSigned(apply: CaApply): Promise<void> {
  const parent = await liveOwnership(apply.live.cadir);
  const present = await liveOwnership(apply.live.path('signed'));
  if (present === undefined) await ensureDirectory(apply.live.path('signed'), parent ?? { mode: 0o750 });
}

async function crlIsLive(apply: CaApply): Promise<boolean> {
  const live = await liveLists(apply.live);
  const pemOf = (crls: readonly Crl[], of: string) => crls.find(({ issuer }) => issuer === of)?.pem;
  return apply.decideCrls(live).every(({ issuer, use }) => {
    if (use === 'incoming') return pemOf(live, issuer) === pemOf(apply.crls.incoming, issuer);
    return use === 'live';
  });
}

// puppetserver may have revoked since the decision, and while a list was signed: what is written was decided on what
// is live then.
async function placeCrl(apply: CaApply): Promise<void> {
  const path = apply.live.path('ca_crl.pem');
  for (;;) {
    const live = await liveLists(apply.live);
    const bundle = await bundleOf(apply, apply.crls, live, apply.decideCrls(live));
    const ownership = await ownershipOf(apply, 'ca_crl.pem');
    if (textOf(await liveLists(apply.live)) !== textOf(live)) continue;
    return writeFileAtomic(path, bundle, ownership);
  }
}

const textOf = (crls: readonly Crl[]): string => crls.map(({ pem }) => pem).join();

function removeStep({ live }: CaApply, actions: readonly Action<'remove'>[]): Step {
  const stands = async ({ path, sha256 }: Action<'remove'>): Promise<boolean> => {
    const content = await readBytesIfThere(live.path(path));
    return content !== undefined && (await sha256File(live.path(path))) === sha256;
  };
  return {
    name: 'removals',
    isDone: async () => !(await Promise.all(actions.map(stands))).some(Boolean),
    do: async () => {
      for (const action of actions) if (await stands(action)) await removeIfThere(live.path(action.path));
      if (actions.length > 0) await syncDirectory(live.path('signed'));
    },
  };
}
