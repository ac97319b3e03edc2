import { join } from 'node:path';
import { demandRoot, openHost, openMaster, type Master } from './app.ts';
import { carryOut, type CarryOutOptions } from './procedures/carry-out.ts';
import type { Procedure } from './procedures/procedure.ts';
import { createJournal, type Journal } from './system/journal.ts';
import { acquireLock } from './system/lock.ts';
import { whoTypes } from './system/operator.ts';
import { openTerminal, type Terminal } from './system/terminal.ts';

/** Carries out a procedure on this master, one at a time; gives the exit code. `make` gets who typed it. */
export async function carryOutHere(
  root: string,
  options: CarryOutOptions,
  make: (master: Master, operator: string) => Promise<Procedure>,
  signal: AbortSignal,
): Promise<number> {
  demandRoot(root);
  const master = await openMaster(await openHost(root), { stderr: false, besideAgent: true });
  try {
    const operator = await whoTypes();
    const procedure = await make(master, operator);
    return await carryOutOn(master, procedure, options, { operator, terminal: openTerminal() }, signal);
  } finally {
    await master.log.close();
  }
}

export const procedureJournal = ({ paths }: Pick<Master, 'paths'>): Journal =>
  createJournal(join(paths.journal, 'procedure.jsonl'));

/** The same for whoever has opened this master. */
export async function carryOutOn(
  { paths, log, clock }: Master,
  procedure: Procedure,
  options: CarryOutOptions,
  by: { readonly operator: string; readonly terminal: Terminal },
  signal: AbortSignal,
): Promise<number> {
  await using disposing = new AsyncDisposableStack();
  if (!options.listSteps) disposing.use(await acquireLock(join(paths.locks, 'procedure'), procedure.verb));
  const journal = procedureJournal({ paths });
  return await carryOut(procedure, options, { journal, log: log.forJob(procedure.verb), clock, ...by }, signal);
}
