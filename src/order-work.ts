import type { AgentView } from './agent/agent.ts';
import type { OrderHandler } from './agent/order-desk.ts';
import type { Master } from './app.ts';
import { auditHere, readAuditArgs } from './audit-work.ts';
import { noEpoch } from './drops/epoch-book.ts';
import { knownPeer } from './drops/greeter.ts';
import { give, type OrderOptions } from './drops/orders.ts';
import type { Greeting } from './drops/peer.ts';
import { Failure } from './errors.ts';
import { lookAtPromotion, promoteByOrder, staySpare } from './role-orders.ts';
import type { Order } from './rules/order.ts';
import { parseToldPauses, spokenPause } from './rules/pause.ts';
import { reportOf, senderTo, settingsOf } from './role-work.ts';
import { askControl } from './system/control.ts';
import { packedAudit } from './rules/audit.ts';
import { createState } from './system/state.ts';

/** What this root does for the other one, by the verb of its order. */
export const orderHandlers = (master: Master, view: () => AgentView): Readonly<Record<string, OrderHandler>> => ({
  status: () => reportOf(master, view()),
  'look-at-promotion': (_order, _tell, signal) => lookAtPromotion(master, signal),
  promote: (order, tell, signal) => promoteByOrder(master, order, tell, signal),
  'stay-spare': (order, tell, signal) => staySpare(master, order, tell, signal),
  greet: (_order, _tell, signal) => askControl(master.paths.control, 'run', { job: 'greet-spare' }, { signal }),
  pause: (order) => hearPauses(master, order),
  audit: async ({ args }, _tell, signal) =>
    packedAudit(await auditHere(master, await reportOf(master, view()), { ...readAuditArgs(args), signal })),
});

async function hearPauses({ pauses, spare, clock, log }: Master, { args, source, by }: Order): Promise<void> {
  const role = (await spare.epochs.read())?.settled.role;
  if (role === undefined) throw new Failure('refused', 'this master has no role yet');
  const { pauses: told, toldAt } = parseToldPauses(args, clock.now());
  if (!(await pauses.told(role, told, toldAt))) return;
  const spoken = told.map(({ job, ...pause }) => `${job} is ${spokenPause(pause)}`);
  if (told.length > 0) log.forJob('agent').warning(`On ${source}, ${spoken.join('; ')}`);
  else log.forJob('agent').success(`On ${source}, nothing is paused any more, says ${by}`);
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
  const state = createState(master.paths.state);
  return {
    certname: known.certname,
    host: master.config.peer_address ?? known.certname,
    greet: (signal) => peer.hello(signal),
    give: (verb, args, options) =>
      give({ peer, signer, certname, clock, by, state, now: () => clock.now() }, verb, args, options),
    [Symbol.asyncDispose]: () => peer.close(),
  };
}
