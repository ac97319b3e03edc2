import { randomBytes } from 'node:crypto';
import { Failure, toFailure } from '../errors.ts';
import { formatEpoch, type Epoch } from '../rules/epoch.ts';
import type { Gate } from '../rules/gate.ts';
import {
  hookLines,
  hookSamples,
  hookWarning,
  roleOfEvent,
  type HookEnd,
  type HookEvent,
  type HookFields,
  type HookInput,
} from '../rules/hooks.ts';
import { failed, type Trouble } from '../rules/repeats.ts';
import { counted } from '../rules/spoken.ts';
import type { Clock } from '../system/clock.ts';
import type { Exec } from '../system/exec.ts';
import type { JobLog } from '../system/log.ts';
import type { State } from '../system/state.ts';
import { hooksOfEvent, type Hook } from './hook-files.ts';
import { createHookQueues, type Due } from './hook-queues.ts';
import { runHook } from './hook-run.ts';
import { createDueHooks, type DueRole } from './hooks-due.ts';

export interface HookParts {
  /** `hooks.d`. */
  readonly directory: string;
  readonly timeoutMs: number;
  readonly exec: Exec;
  readonly clock: Pick<Clock, 'now' | 'monotonic' | 'sleep'>;
  readonly log: JobLog;
  readonly state: State;
  readonly certname: string;
  readonly gate: { read(): Promise<Gate | undefined> };
}

/** Executables of the admin's, told what happens. Nothing here holds up or fails what they are told of. */
export interface Hooks {
  /** Returns at once: they run beside, in their turn. */
  tell<Event extends HookEvent>(event: Event, text: string, fields: HookFields[Event]): void;
  /** A role is about to be settled: its hooks run once it is entered, also when this agent is killed in between. */
  expect(event: 'promoted' | 'demoted', epoch: Epoch, why: string): Promise<void>;
  /** A role is entered: what is due of it runs. */
  entered(role: 'active' | 'passive'): Promise<void>;
  /** Runs the hooks of an event now, with an example. Says what each prints; how many failed. */
  try(event: HookEvent, say: (line: string) => void, signal: AbortSignal): Promise<{ ran: number; failed: number }>;
  /** Nothing new begins; what runs has a few seconds, then it is ended. */
  end(): Promise<void>;
}

const triedLines = 1000;

export function createHooks(parts: HookParts): Hooks {
  const { clock, log } = parts;
  const teller = createTeller(log, clock);
  const due = createDueHooks(parts.state, () => clock.now());
  const queues = createHookQueues({
    clock,
    run: (next, signal) => runDue(parts, teller, next, signal),
    gaveUp: ({ event }, count) =>
      log.warning(
        `${counted(count, 'event')} of ${event} or its like ${count === 1 ? 'was' : 'were'} told to no hook: they take too long`,
      ),
  });
  const known = new Set<string>();
  const addRole = (next: DueRole): void => {
    if (known.has(next.id)) return; // it waits or runs
    known.add(next.id);
    queues.add({ ...next, fields: { why: next.why }, done: () => due.done(next.id) });
  };
  return {
    tell: (event, text, fields) => queues.add({ event, text, fields, id: newId(), at: clock.now().toISOString() }),
    expect: (event, epoch, why) =>
      kindly(log, () => due.expect(event, { id: newId(), text: roleText(event, epoch), why })),
    entered: (role) =>
      kindly(log, async () => {
        const next = await due.of(role);
        if (next !== undefined) addRole(next);
      }),
    try: (event, say, signal) => tryHooks(parts, event, say, signal),
    end: queues.end,
  };
}

const newId = (): string => randomBytes(8).toString('hex');
const roleText = (event: 'promoted' | 'demoted', epoch: Epoch): string =>
  `${event === 'promoted' ? 'Promoted' : 'Demoted'}: epoch ${formatEpoch(epoch)}`;

/** What is noted of hooks must not keep a master from its role. */
async function kindly(log: JobLog, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    log.warning(`Hooks of a change of roles may be left out: ${toFailure(error).message}`);
  }
}

/** All hooks of one happening, in their order. What failed keeps none of the others. */
async function runDue(parts: HookParts, teller: Teller, due: Due, signal: AbortSignal): Promise<void> {
  try {
    const hooks = await hooksOfEvent(parts.directory, due.event);
    if (hooks.some(({ standing }) => standing.is !== 'off')) {
      const input = await inputOf(parts, due);
      for (const hook of hooks) {
        if (hook.standing.is === 'refused') teller.refused(hook);
        if (hook.standing.is === 'good') teller.ended(due.event, await runHook(hook, input, { ...parts, signal }));
      }
    }
    await due.done?.();
  } catch (error) {
    if (!signal.aborted) parts.log.warning(`Hooks of ${due.event} could not be run: ${toFailure(error).message}`);
  }
}

async function inputOf(
  { certname, gate }: HookParts,
  { event, id, at, text, fields }: Due,
): Promise<HookInput & HookFields[HookEvent]> {
  const known = await gate.read().catch(() => undefined);
  return {
    ...{ format: 1, event, id, at, certname },
    role: known?.role ?? 'suspended',
    epoch: known === undefined ? '' : formatEpoch(known.epoch),
    ...(known?.peer === undefined ? {} : { peer: known.peer }),
    text,
    ...fields,
  };
}

async function tryHooks(
  parts: HookParts,
  event: HookEvent,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<{ ran: number; failed: number }> {
  const sample = { event, id: newId(), at: parts.clock.now().toISOString(), ...hookSamples[event] };
  const input = { ...(await inputOf(parts, sample)), sample: true } as const;
  say(`They read: ${JSON.stringify(input)}`);
  const count = { ran: 0, failed: 0 };
  for (const hook of await hooksOfEvent(parts.directory, event)) {
    const { name, standing } = hook;
    if (standing.is !== 'good') {
      say(`${name} is not run: ${standing.why}${standing.is === 'refused' ? `. ${standing.hint}` : ''}`);
      if (standing.is === 'refused') count.failed += 1;
      continue;
    }
    const end = await runHook(hook, input, { ...parts, signal, lines: triedLines });
    for (const line of [...end.said, ...end.complained]) say(`${name}: ${line}`);
    say(`${name} ${end.failed ?? `is done after ${Math.round(end.elapsedMs)} ms`}`);
    count.ran += 1;
    if (end.failed !== undefined) count.failed += 1;
  }
  return count;
}

interface Teller {
  ended(event: HookEvent, end: HookEnd): void;
  refused(hook: Hook): void;
}

/** A hook that fails each time is told once, and again after hours; each change of roles is told. */
function createTeller(log: JobLog, clock: Pick<Clock, 'monotonic'>): Teller {
  const troubles = new Map<string, Trouble>();
  const warn = (name: string, text: string): void => {
    const heard = failed(troubles.get(name), { class: 'dependency', cause: text }, clock.monotonic());
    troubles.set(name, heard.trouble);
    if (heard.say !== undefined) log.warning(text + heard.say);
  };
  return {
    ended: (event, end) => {
      if (roleOfEvent(event) !== undefined || end.failed === undefined) troubles.delete(end.name);
      if (end.failed !== undefined) warn(end.name, hookWarning(event, end));
      else for (const line of hookLines(event, end)) log.success(line);
    },
    refused: ({ name, standing }) => {
      if (standing.is !== 'refused') return;
      const { why, hint } = standing;
      warn(name, `Hook ${new Failure('config', `${name} is not run`, { why, hint }).message}`);
    },
  };
}
