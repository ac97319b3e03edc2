import { Failure } from '../errors.ts';
import { deltaOf, standingOf, type GroupEdit } from '../rules/group-edits.ts';
import type { Group } from '../rules/groups.ts';
import { statusOf } from '../system/http-error.ts';
import type { Classifier } from './classifier.ts';

const tries = 5;

/**
 * Makes edits of the live node groups, a group at a time and whole; those that stand already are left. A group that is edited by
 * somebody else at this moment is read anew; one of which such a value is neither as it was nor as it becomes refuses all.
 */
export async function makeEdits(
  classifier: Pick<Classifier, 'groups' | 'update'>,
  edits: readonly GroupEdit[],
  signal: AbortSignal,
): Promise<void> {
  const ids = [...new Set(edits.map(({ id }) => id))];
  for (const id of ids)
    await makeOne(
      classifier,
      edits.filter((edit) => edit.id === id),
      signal,
    );
}

async function makeOne(
  classifier: Pick<Classifier, 'groups' | 'update'>,
  edits: readonly GroupEdit[],
  signal: AbortSignal,
): Promise<void> {
  for (let left = tries; ; left -= 1) {
    const group = (await classifier.groups(signal)).find(({ id }) => id === edits[0]?.id);
    const pending = pendingOf(group, edits);
    if (group === undefined || pending.length === 0) return;
    try {
      return await classifier.update(group, deltaOf(group, pending), signal);
    } catch (error) {
      if (statusOf(error) !== 409 || left <= 1) throw error; // 409: edited between the two requests
    }
  }
}

function pendingOf(group: Group | undefined, edits: readonly GroupEdit[]): GroupEdit[] {
  return edits.filter((edit) => {
    const standing = standingOf(group, edit);
    if (standing !== 'other') return standing === 'before';
    throw new Failure('refused', 'the node groups were edited meanwhile', {
      where: `${edit.group}: ${edit.parameter ?? 'rule'}`,
      hint: 'Type it again: the change is shown anew',
    });
  });
}

/** Whether all of them stand. */
export const areMade = (groups: readonly Group[], edits: readonly GroupEdit[]): boolean =>
  edits.every(
    (edit) =>
      standingOf(
        groups.find(({ id }) => id === edit.id),
        edit,
      ) === 'after',
  );
