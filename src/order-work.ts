import type { AgentView } from './agent/agent.ts';
import type { OrderHandler } from './agent/order-desk.ts';
import type { Master } from './app.ts';
import { noEpoch } from './drops/epoch-book.ts';
import { knownPeer } from './drops/greeter.ts';
import { give, type OrderOptions } from './drops/orders.ts';
import type { Greeting } from './drops/peer.ts';
import { Failure } from './errors.ts';
import { carryOutOn, procedureJournal } from './procedure-work.ts';
import { promotion, promotionProbes } from './procedures/promote.ts';
import { promoteParts } from './role-change-work.ts';
import { reportOf, senderTo, settingsOf } from './role-work.ts';
import type { Finding } from './rules/findings.ts';
import type { Order } from './rules/order.ts';
import { readRole } from './system/fact.ts';
import type { Terminal } from './system/terminal.ts';
import { createState } from './system/state.ts';

/** What this root does for the other one, by the verb of its order. */
export const orderHandlers = (master: Master, view: () => AgentView): Readonly<Record<string, OrderHandler>> => ({
  status: () => reportOf(master, view()),
  'look-at-promotion': (_order, _tell, signal) => lookAtPromotion(master, signal),
  promote: (order, tell, signal) => promoteByOrder(master, order, false, tell, signal),
  'stay-spare': (order, tell, signal) => staySpare(master, order, tell, signal),
});

/** As a look before a promotion finds this spare: whether the other master is gone is not asked. */
async function lookAtPromotion(master: Master, signal: AbortSignal): Promise<Finding[]> {
  demandRemoteChanges(master);
  const found: Finding[] = [];
  for (const look of promotionProbes(promoteParts(master, undefined, false))) found.push(...(await look(signal)));
  return found;
}

/** The other root is the active and gives its role away. */
async function promoteByOrder(
  master: Master,
  { source, by }: Order,
  undo: boolean,
  tell: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  demandRemoteChanges(master);
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

/** The other root has not heard that this spare was promoted, and wants to be the active again. */
async function staySpare(
  master: Master,
  order: Order,
  tell: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  if ((await procedureJournal(master).open())?.job === 'promote')
    await promoteByOrder(master, order, true, tell, signal);
  const [settled, { role }] = [(await master.spare.epochs.read())?.settled.role, await readRole(master.paths.fact)];
  if (settled === 'passive' && role.role === 'passive') return;
  throw new Failure('refused', `${master.certname} does not stay the spare`, {
    why: settled === 'active' ? 'it is the active' : `its fact says ${role.role}`,
    hint: `To finish the exchange, type on ${order.source}: pe-failover switchover`,
  });
}

function demandRemoteChanges({ config, certname }: Master): void {
  if (config.remote_role_changes) return;
  throw new Failure('refused', `${certname} does not change its role by the word of the other master`, {
    why: 'remote_role_changes is false in its configuration',
    hint: `Edit the facts by hand: passive here first, then active on ${certname}`,
  });
}

/** The other master, for a command beside the agent. */
export interface OtherMaster extends AsyncDisposable {
  readonly certname: string;
  /** Where it is reached. */
  readonly host: string;
  greet(signal: AbortSignal): Promise<Greeting>;
  /** Has its root do something: see `orderHandlers`. */
  give(verb: string, args: Readonly<Record<string, unknown>>, options: OrderOptions): Promise<unknown>;
}

/** Throws `refused` where this master knows no other. `by`: who typed what. The master was opened `besideAgent`. */
export async function openOther(master: Master, by: string): Promise<OtherMaster> {
  const other = await openOtherIfKnown(master, by);
  if (other !== undefined) return other;
  throw new Failure('refused', 'no other master is known here', { hint: 'Make a pair first: see README.md' });
}

export async function openOtherIfKnown(master: Master, by: string): Promise<OtherMaster | undefined> {
  const known = await knownPeer(createState(master.paths.state));
  if (known === undefined) return undefined;
  const { peer } = await senderTo(master, known.certname, noEpoch, settingsOf(master).build);
  const { signer, certname, clock } = master;
  return {
    certname: known.certname,
    host: master.config.peer_address ?? known.certname,
    greet: (signal) => peer.hello(signal),
    give: (verb, args, options) => give({ peer, signer, certname, clock, by }, verb, args, options),
    [Symbol.asyncDispose]: () => peer.close(),
  };
}
