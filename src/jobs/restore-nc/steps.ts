import { Failure } from '../../errors.ts';
import type { Classifier } from '../../puppet/classifier.ts';
import { sameEpoch, type Epoch } from '../../rules/epoch.ts';
import { canonicalGroups, digestGroups, parseGroups, type Group } from '../../rules/groups.ts';
import { readIfThere, writeFileAtomic } from '../../system/files.ts';
import type { Operation, Step } from '../../system/journal.ts';
import type { PassContext } from '../job.ts';

/** What stands in the journal: enough to end an interrupted restore without the drop. */
export interface RestoreArgs {
  /** Where the replaced tree lies, as it can be posted to import-hierarchy. */
  readonly archive: string;
  /** Digests of the tree before and after. */
  readonly old: string;
  readonly wanted: string;
  readonly drop: string;
  readonly epoch: Epoch;
}

export interface Trees {
  readonly live: readonly Group[];
  readonly wanted: readonly Group[];
}

export type RestoreOperation = Operation<RestoreArgs>;

/**
 * archive, import, verify, refresh. Import is atomic on the server: before it nothing has happened, after it only a
 * tree that reads back differently is undone, by putting the archived one back.
 */
export function restoreOperation(
  classifier: Classifier,
  context: PassContext,
  args: RestoreArgs,
  trees: Trees,
): RestoreOperation {
  const text = canonicalGroups(trees.live);
  const steps: Step[] = [
    {
      name: 'archive',
      do: () => writeFileAtomic(args.archive, text, { mode: 0o600 }),
      isDone: async () => (await readIfThere(args.archive)) === text,
    },
    {
      name: 'import',
      do: async () => {
        await context.fence();
        await classifier.importHierarchy(trees.wanted, context.signal);
      },
      undo: () => putBack(classifier, args, context.signal),
      isDone: () => isLive(classifier, args.wanted, context.signal),
    },
    ...checks(classifier, context, args),
  ];
  return { job: 'restore-nc', run: args.drop, args, steps, pointOfNoReturn: 'refresh' };
}

/** The same after a crash: where the tree is the wanted one it is finished, else the old one is put back. */
export async function interruptedRestore(
  classifier: Classifier,
  context: PassContext,
  args: RestoreArgs,
): Promise<RestoreOperation> {
  const arrived = await isLive(classifier, args.wanted, context.signal);
  // Since then somebody else was in charge here, and what is live may be their work.
  const ours = sameEpoch(args.epoch, context.epoch);
  const nothing = async (): Promise<void> => undefined;
  const done = async (): Promise<boolean> => true;
  const steps: Step[] = [
    { name: 'archive', do: nothing, isDone: done },
    {
      name: 'import',
      do: nothing,
      undo: ours ? () => putBack(classifier, args, context.signal) : nothing,
      isDone: done,
    },
    ...checks(classifier, context, args),
  ];
  const pointOfNoReturn = arrived ? 'archive' : 'refresh';
  return { job: 'restore-nc', run: args.drop, args, steps, pointOfNoReturn };
}

function checks(classifier: Classifier, context: PassContext, args: RestoreArgs): readonly Step[] {
  const verify = async (): Promise<void> => {
    const found = await classifier.groups(context.signal);
    if (digestGroups(found) === args.wanted) return;
    throw new Failure('bad-data', 'the classifier stored another tree than it was given', {
      where: args.drop,
      why: `expected ${args.wanted}, read back ${digestGroups(found)}`,
      hint: `The old tree was put back. Compare the drop with ${args.archive}`,
    });
  };
  return [
    { name: 'verify', do: verify, isDone: () => isLive(classifier, args.wanted, context.signal) },
    { name: 'refresh', do: () => refresh(classifier, context), isDone: async () => false },
  ];
}

const isLive = async (classifier: Classifier, digest: string, signal: AbortSignal): Promise<boolean> =>
  digestGroups(await classifier.groups(signal)) === digest;

async function putBack(classifier: Classifier, args: RestoreArgs, signal: AbortSignal): Promise<void> {
  await classifier.ready(signal);
  if (await isLive(classifier, args.old, signal)) return;
  const text = await readIfThere(args.archive);
  if (text === undefined)
    throw new Failure('config', 'the archived node groups are gone', {
      where: args.archive,
      hint: 'Look at the groups in the console, then remove the journal of restore-nc',
    });
  await classifier.importHierarchy(parseGroups(text), signal);
  if (await isLive(classifier, args.old, signal)) return;
  throw new Failure('dependency', 'the old node groups could not be put back', {
    why: 'the classifier stored another tree than it was given',
    hint: `Import ${args.archive} by hand`,
  });
}

// The tree is right without it, and the classifier reads its class list every ten minutes by itself.
async function refresh(classifier: Classifier, context: PassContext): Promise<void> {
  try {
    await classifier.updateClasses(context.signal);
  } catch (error) {
    context.signal.throwIfAborted();
    context.log.warning(`Node groups are restored, the class list is not: ${String(error)}`);
  }
}
