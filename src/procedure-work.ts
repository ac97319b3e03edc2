import { join } from 'node:path';
import { demandRoot, openHost, openMaster, type Master } from './app.ts';
import { carryOut, type CarryOutOptions } from './procedures/carry-out.ts';
import type { Procedure } from './procedures/procedure.ts';
import { createJournal } from './system/journal.ts';
import { acquireLock } from './system/lock.ts';
import { whoTypes } from './system/operator.ts';
import { openTerminal } from './system/terminal.ts';

/** Carries out a procedure on this master, one at a time; gives the exit code. `make` gets who typed it. */
export async function carryOutHere(
  root: string,
  options: CarryOutOptions,
  make: (master: Master, operator: string) => Promise<Procedure>,
  signal: AbortSignal,
): Promise<number> {
  demandRoot(root);
  const master = await openMaster(await openHost(root), { stderr: false, besideAgent: true });
  const { paths, log, clock } = master;
  await using disposing = new AsyncDisposableStack();
  disposing.defer(() => log.close());
  const operator = await whoTypes();
  const procedure = await make(master, operator);
  if (!options.listSteps) disposing.use(await acquireLock(join(paths.locks, 'procedure'), procedure.verb));
  const parts = {
    journal: createJournal(join(paths.journal, 'procedure.jsonl')),
    log: log.forJob(procedure.verb),
    terminal: openTerminal(),
    ...{ clock, operator },
  };
  return await carryOut(procedure, options, parts, signal);
}
