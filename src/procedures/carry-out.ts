import { Failure, toFailure } from '../errors.ts';
import { findingLines, obstaclesOf, type Finding } from '../rules/findings.ts';
import { againOf } from '../rules/journal-line.ts';
import { spokenDuration } from '../rules/spoken.ts';
import type { Clock } from '../system/clock.ts';
import type { Journal } from '../system/journal.ts';
import type { JobLog } from '../system/log.ts';
import type { Task, Terminal } from '../system/terminal.ts';
import { planLines, type Doing, type Procedure, type ProcedureStep } from './procedure.ts';

export interface CarryOutOptions {
  readonly listSteps: boolean;
  readonly dryRun: boolean;
  /** Said yes beforehand. */
  readonly yes: boolean;
  /** Undoes one that was interrupted. */
  readonly undo: boolean;
  /** Options that pass over an obstacle, as they were typed: "--force". */
  readonly passing: readonly string[];
}

export interface CarryOutParts {
  /** Of all procedures of this master: one at a time. */
  readonly journal: Journal;
  /** Of the verb. */
  readonly log: JobLog;
  readonly clock: Pick<Clock, 'now' | 'monotonic'>;
  readonly terminal: Terminal;
  /** Who typed it. */
  readonly operator: string;
}

/**
 * Shows the plan, tries every precondition, asks, and does the steps; gives the exit code. Interrupted before its point of no
 * return it is undone, after it, it is left; typed again it goes on, whatever it was killed at. INVARIANT: the caller holds
 * the lock of the procedures.
 */
export async function carryOut(
  procedure: Procedure,
  options: CarryOutOptions,
  parts: CarryOutParts,
  signal: AbortSignal,
): Promise<number> {
  const { terminal, log, operator } = parts;
  for (const line of planLines(procedure)) terminal.say(line);
  if (options.listSteps) return 0;
  const open = await openOne(procedure, parts.journal);
  if (options.undo) return await undoOpen(procedure, open !== undefined, parts, signal);
  terminal.say('');
  if (open === undefined) {
    await probe(procedure, options, terminal, signal);
    if (options.dryRun) {
      terminal.say('Nothing was changed.');
      return 0;
    }
    await demandConsent(procedure, options, terminal, signal);
    log.success(`${procedure.title}. Begun by ${operator}`);
  } else {
    terminal.say(`Goes on with what began at ${open.at} and was interrupted at "${open.step}".`);
    if (options.dryRun) return 0;
    log.success(`${procedure.title}. Gone on with by ${operator}`);
  }
  return await goThrough(procedure, parts, signal);
}

async function openOne({ verb, subject }: Procedure, journal: Journal) {
  const open = await journal.open();
  if (open === undefined) return undefined;
  const typed = (open.args as { readonly subject?: string }).subject;
  if (open.job === verb && typed === subject) return open;
  const again = againOf(open);
  throw new Failure('refused', 'another procedure is not ended', {
    where: open.job,
    why: `it began at ${open.at}, and was interrupted at "${open.step}"`,
    hint: `To go on with it, type: ${again}. To undo it: ${again} --undo`,
  });
}

async function probe(
  { probes, verb }: Procedure,
  { passing }: CarryOutOptions,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const found: Finding[] = [];
  terminal.say('Preconditions:');
  for (const look of probes) {
    const findings = await look(signal);
    for (const line of findings.flatMap(findingLines)) terminal.say(line);
    found.push(...findings);
  }
  terminal.say('');
  const [first] = obstaclesOf(found, passing);
  if (first === undefined) return;
  const hint = `${first.hint ?? ''}${first.unless === undefined ? '' : `; ${first.unless} goes on all the same`}`;
  throw new Failure('refused', `${verb} does not begin`, { why: first.says, ...(hint === '' ? {} : { hint }) });
}

async function demandConsent(
  { verb, title }: Procedure,
  { yes }: CarryOutOptions,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  if (yes) return;
  if (!terminal.isInteractive)
    throw new Failure('usage', 'nobody is there to say yes', { hint: `Read the plan, then type: ${verb} with --yes` });
  if (!(await terminal.confirm(`${title}?`, signal)))
    throw new Failure('interrupted', 'nothing was changed', { why: 'the answer was not yes' });
}

async function goThrough(procedure: Procedure, parts: CarryOutParts, signal: AbortSignal): Promise<number> {
  const { log, clock, terminal, journal, operator } = parts;
  const [began, missing] = [clock.monotonic(), [] as Failure[]];
  const reached = { step: -1 };
  try {
    await terminal.follow(procedure.steps.map((_, n) => taskOf(procedure, parts, { n, missing, reached }, signal)));
  } catch (error) {
    throw await broken(procedure, parts, reached.step, toFailure(error));
  }
  await journal.close();
  const took = spokenDuration(clock.monotonic() - began);
  for (const failure of missing) log.failure(failure.message);
  if (missing.length === 0) log.success(`${procedure.title}: done in ${took}, by ${operator}`);
  else log.warning(`${procedure.title}: done in ${took}, but not all of it, by ${operator}`);
  terminal.say('');
  terminal.say(missing.length === 0 ? `Done in ${took}.` : `Done in ${took}, but not all of it:`);
  for (const failure of missing) terminal.say(`  ${failure.message}`);
  const left = await procedure.left();
  if (left.length > 0) terminal.say('Left to you:');
  for (const line of left) terminal.say(`  - ${line}`);
  return missing[0]?.exitCode ?? 0;
}

interface Place {
  readonly n: number;
  readonly missing: Failure[];
  readonly reached: { step: number };
}

function taskOf(
  { verb, subject, steps }: Procedure,
  { journal, clock }: CarryOutParts,
  { n, missing, reached }: Place,
  signal: AbortSignal,
): Task {
  const step = steps[n] as ProcedureStep;
  const args = subject === undefined ? {} : { subject };
  return {
    title: step.says,
    run: async (tell) => {
      signal.throwIfAborted();
      reached.step = n;
      const at = clock.now().toISOString();
      await journal.record({ run: verb, job: verb, step: step.name, n, of: steps.length, args, at });
      if (await step.isDone()) return;
      try {
        await step.do({ tell, signal });
      } catch (error) {
        const failure = toFailure(error);
        if (failure.class !== 'incomplete') throw failure;
        tell(failure.message);
        missing.push(failure);
      }
    },
  };
}

/** Before the point of no return nothing is left of it; after it, it waits to be gone on with. */
async function broken(procedure: Procedure, parts: CarryOutParts, n: number, failure: Failure): Promise<Failure> {
  const { verb, subject, steps, pointOfNoReturn } = procedure;
  const { log } = parts;
  const again = againOf({ job: verb, args: { subject } });
  const turn = steps.findIndex(({ name }) => name === pointOfNoReturn);
  if (turn >= 0 && n >= turn) {
    const hint = `${failure.hint === undefined ? '' : `${failure.hint}. `}To go on, type: ${again}`;
    log.failure(`${procedure.title}: interrupted at "${steps[n]?.name ?? ''}": ${failure.message}`);
    return new Failure(failure.class, failure.what, { ...detailsOf(failure), hint });
  }
  try {
    await undo(procedure, parts, n, new AbortController().signal);
  } catch (error) {
    const why = toFailure(error).message;
    log.failure(`${procedure.title}: ${failure.message}. It could not be undone: ${why}`);
    const hint = `It could not be undone: ${why}. To try that again, type: ${again} --undo`;
    return new Failure(failure.class, failure.what, { ...detailsOf(failure), hint });
  }
  log.warning(`${procedure.title}: undone, because of: ${failure.message}`);
  const hint = `${failure.hint === undefined ? '' : `${failure.hint}. `}What was begun is undone`;
  return new Failure(failure.class, failure.what, { ...detailsOf(failure), hint });
}

const detailsOf = ({ where, why, cause }: Failure) => ({
  ...(where === undefined ? {} : { where }),
  ...(why === undefined ? {} : { why }),
  ...(cause === undefined ? {} : { cause }),
});

async function undoOpen(
  procedure: Procedure,
  isOpen: boolean,
  parts: CarryOutParts,
  signal: AbortSignal,
): Promise<number> {
  const { steps, pointOfNoReturn, verb } = procedure;
  const open = await parts.journal.open();
  if (!isOpen || open === undefined) throw new Failure('refused', 'there is nothing to undo', { where: verb });
  const turn = steps.findIndex(({ name }) => name === pointOfNoReturn);
  if (turn >= 0 && open.n >= turn)
    throw new Failure('refused', 'it can only be finished', {
      why: `it was interrupted at "${open.step}", behind its point of no return`,
      hint: `Type: pe-failover ${verb}`,
    });
  await undo(procedure, parts, open.n, signal);
  parts.log.success(`${procedure.title}: undone by ${parts.operator}`);
  parts.terminal.say('It is undone.');
  return 0;
}

/** INVARIANT: the journal is closed last, so that a killed undo is done once more. */
async function undo(
  { steps }: Procedure,
  { terminal, journal }: CarryOutParts,
  n: number,
  signal: AbortSignal,
): Promise<void> {
  const doing: Doing = { tell: (line) => terminal.say(`      ${line}`), signal };
  for (const step of steps.slice(0, n + 1).reverse()) {
    if (step.undo === undefined) continue;
    terminal.say(`Undoes: ${step.says}`);
    await step.undo(doing);
  }
  await journal.close();
}
