import type { Master } from '../app.ts';
import { Failure } from '../errors.ts';
import { openOtherIfKnown, type OtherMaster } from '../order-work.ts';
import { carryOutHere } from '../procedure-work.ts';
import type { CarryOutOptions } from '../procedures/carry-out.ts';
import { demotion } from '../procedures/demote.ts';
import type { Procedure } from '../procedures/procedure.ts';
import { promotion } from '../procedures/promote.ts';
import { switchover } from '../procedures/switchover.ts';
import { demoteParts, promoteParts, switchoverParts } from '../role-change-work.ts';

/** On the spare: it becomes the active. */
export const promote = (
  root: string,
  options: CarryOutOptions & { readonly forceStale: boolean },
  signal: AbortSignal,
): Promise<number> =>
  withOther(root, options, signal, (master, other) => promotion(promoteParts(master, other, options.forceStale)));

/** On a former active: it becomes the spare of the new one. */
export const demote = (root: string, options: CarryOutOptions, signal: AbortSignal): Promise<number> =>
  withOther(root, options, signal, (master, other) => demotion(demoteParts(master, other)));

/** On the active: both exchange their roles. */
export const exchangeRoles = (root: string, options: CarryOutOptions, signal: AbortSignal): Promise<number> =>
  withOther(root, options, signal, (master, other) => {
    if (other !== undefined) return switchover(switchoverParts(master, other));
    throw new Failure('refused', 'no other master is known here', { hint: 'Make a pair first: see README.md' });
  });

async function withOther(
  root: string,
  options: CarryOutOptions,
  signal: AbortSignal,
  make: (master: Master, other: OtherMaster | undefined) => Procedure,
): Promise<number> {
  await using disposing = new AsyncDisposableStack();
  const prepared = async (master: Master, operator: string): Promise<Procedure> => {
    const other = await openOtherIfKnown(master, operator);
    if (other !== undefined) disposing.use(other);
    return make(master, other);
  };
  return await carryOutHere(root, options, prepared, signal);
}
