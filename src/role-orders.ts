import type { Master } from './app.ts';
import { Failure } from './errors.ts';
import { carryOutOn, procedureJournal } from './procedure-work.ts';
import { promotion, promotionProbes } from './procedures/promote.ts';
import { promoteParts } from './role-change-work.ts';
import type { Finding } from './rules/findings.ts';
import type { Order } from './rules/order.ts';
import { readRole } from './system/fact.ts';
import { inTurn } from './system/in-turn.ts';
import { createState } from './system/state.ts';
import type { Terminal } from './system/terminal.ts';

// What a spare does when the root of its active gives its role away.

/** As a look before a promotion finds this spare: whether the other master is gone is not asked. */
export async function lookAtPromotion(master: Master, signal: AbortSignal): Promise<Finding[]> {
  demandRemoteChanges(master);
  const found: Finding[] = [];
  for (const look of promotionProbes(promoteParts(master, undefined, false))) found.push(...(await look(signal)));
  return found;
}

type Tell = (line: string) => void;

/** One after the other, as they came. */
const turn = inTurn();

/** The other root is the active and gives its role away. */
export const promoteByOrder = (master: Master, order: Order, tell: Tell, signal: AbortSignal): Promise<void> =>
  turn(async () => {
    demandRemoteChanges(master);
    await demandNotCalledBack(master, order);
    const isOpen = (await procedureJournal(master).open()) !== undefined;
    const isActive = (await master.spare.epochs.read())?.settled.role === 'active';
    if (isActive && !isOpen) return; // the answer to the first order was lost
    await carryOutPromotion(master, order, { undo: false, tell }, signal);
  });

/**
 * The other root has not heard that this spare was promoted, and wants to be the active again. INVARIANT: once it has the answer,
 * no order to promote that it gave before is carried out, however late it comes.
 */
export const staySpare = (master: Master, order: Order, tell: Tell, signal: AbortSignal): Promise<void> =>
  turn(async () => {
    const { source, n } = order;
    await createState(master.paths.state).write(calledBack, { source, n } satisfies CalledBack);
    if ((await procedureJournal(master).open())?.job === 'promote')
      await carryOutPromotion(master, order, { undo: true, tell }, signal);
    const [settled, { role }] = [(await master.spare.epochs.read())?.settled.role, await readRole(master.paths.fact)];
    if (settled === 'passive' && role.role === 'passive') return;
    throw new Failure('refused', `${master.certname} does not stay the spare`, {
      why: settled === 'active' ? 'it is the active' : `its fact says ${role.role}`,
      hint: `To finish the exchange, type on ${source}: pe-failover switchover`,
    });
  });

/** Orders to promote of that master, up to this one, are called back. */
interface CalledBack {
  readonly source: string;
  readonly n: number;
}
const calledBack = 'promotion-called-back';

async function demandNotCalledBack({ paths }: Master, { source, n }: Order): Promise<void> {
  const known = await createState(paths.state).read<CalledBack>(calledBack);
  if (known === undefined || known.source !== source || n > known.n) return;
  throw new Failure('refused', 'the order to promote was called back', { why: `${source} gave another one after it` });
}

async function carryOutPromotion(
  master: Master,
  { source, by }: Order,
  { undo, tell }: { readonly undo: boolean; readonly tell: Tell },
  signal: AbortSignal,
): Promise<void> {
  const terminal: Terminal = {
    ...{ isInteractive: false, say: () => undefined, confirm: () => Promise.resolve(true) },
    follow: async (tasks) => {
      for (const { title, run } of tasks) {
        tell(title);
        await run(tell);
      }
    },
  };
  const options = { listSteps: false, dryRun: false, yes: true, undo, passing: ['--force'] };
  const procedure = promotion({ ...promoteParts(master, undefined, false), next: source });
  await carryOutOn(master, procedure, options, { operator: `${by}, on ${source}`, terminal }, signal);
}

function demandRemoteChanges({ config, certname }: Master): void {
  if (config.remote_role_changes) return;
  throw new Failure('refused', `${certname} does not change its role by the word of the other master`, {
    why: 'remote_role_changes is false in its configuration',
    hint: `Edit the facts by hand: passive here first, then active on ${certname}`,
  });
}
