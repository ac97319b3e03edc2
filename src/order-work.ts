import type { AgentView } from './agent/agent.ts';
import type { OrderHandler } from './agent/order-desk.ts';
import type { Master } from './app.ts';
import { auditHere, readAuditArgs } from './audit-work.ts';
import { noEpoch } from './drops/epoch-book.ts';
import { knownPeer } from './drops/greeter.ts';
import { give, type OrderOptions } from './drops/orders.ts';
import type { Greeting } from './drops/peer.ts';
import { Failure } from './errors.ts';
import { reportOf, senderTo, settingsOf } from './role-work.ts';
import { packedAudit } from './rules/audit.ts';
import { createState } from './system/state.ts';

/** What this root does for the other one, by the verb of its order. */
export const orderHandlers = (master: Master, view: () => AgentView): Readonly<Record<string, OrderHandler>> => ({
  status: () => reportOf(master, view()),
  audit: async ({ args }, _tell, signal) =>
    packedAudit(await auditHere(master, await reportOf(master, view()), { ...readAuditArgs(args), signal })),
});

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
  const known = await knownPeer(createState(master.paths.state));
  if (known === undefined)
    throw new Failure('refused', 'no other master is known here', {
      hint: 'Make a pair first: README.md, or pe-failover provision HOST',
    });
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
