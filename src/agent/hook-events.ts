import { createState } from '../system/state.ts';
import type { Spare } from '../drops/spare.ts';
import { formatEpoch } from '../rules/epoch.ts';
import type { Paths } from '../rules/paths.ts';
import type { Receipt } from '../rules/receipt.ts';
import type { Line } from '../rules/silence.ts';
import type { HeardWord, Log } from '../system/log.ts';
import { createHooks, type HookParts, type Hooks } from './hooks.ts';
import type { StatusReport } from './status.ts';

/** A master, as far as its hooks need it. */
export interface HookMaster extends Pick<HookParts, 'exec' | 'clock' | 'certname'> {
  readonly paths: Pick<Paths, 'hooks' | 'state'>;
  readonly config: { readonly hooks: { readonly timeout: number } };
  readonly log: Log;
  readonly spare: Pick<Spare, 'gate'>;
}

export const hooksOf = ({ paths, config, log, spare, exec, clock, certname }: HookMaster): Hooks =>
  createHooks({
    ...{ exec, clock, certname, directory: paths.hooks, timeoutMs: config.hooks.timeout, gate: spare.gate },
    log: log.forJob('agent'),
    state: createState(paths.state),
  });

/** What the agent learns beside its changes of roles, told to hooks. */
export interface HookEvents {
  /** It is shown each report: what is held, and what is held no more. */
  look(report: Pick<StatusReport, 'holds'>): void;
  silence(line: Line): void;
}

/** After a start of the agent, what stands is told again: holds here, silence and failures by whoever says them. */
export function createHookEvents(hooks: Hooks, log: Pick<Log, 'hear'>, spare: Pick<Spare, 'hear'>): HookEvents {
  let held = new Map<string, StatusReport['holds'][number]>();
  log.hear(({ kind, job, text }: HeardWord) => hooks.tell(kind, text, { job }));
  spare.hear(tellApplied(hooks));
  return {
    look: ({ holds }) => {
      const now = new Map(holds.map((hold) => [hold.id, hold]));
      for (const { id, stream, sentence } of now.values())
        if (!held.has(id)) hooks.tell('held', `Held: ${sentence}`, { hold: id, stream });
      for (const { id, stream, sentence } of held.values())
        if (!now.has(id)) hooks.tell('unheld', `Held no more: ${sentence}`, { hold: id, stream });
      held = now;
    },
    silence: ({ status, text, stream, limitSeconds }) =>
      hooks.tell(status === 'FAILURE' ? 'stale' : 'fresh', text, { stream, limitSeconds }),
  };
}

/** Once for each drop: what is reported of it later is no news here. */
function tellApplied(hooks: Hooks): (receipt: Receipt) => void {
  const told = new Map<string, string>();
  return ({ state, stream, epoch, sequence, why }) => {
    const drop = { epoch: formatEpoch(epoch), sequence };
    const name = `${drop.epoch}-${sequence}`;
    if (state !== 'applied' || told.get(stream) === name) return;
    told.set(stream, name);
    hooks.tell('applied', `${stream} is live here: ${why}`, { stream, drop, why });
  };
}
