import type { Finding } from '../rules/findings.ts';

/** What a command that changes a pair is, as a person reads it beforehand and as it is carried out. */
export interface Procedure {
  /** The verb that is typed. */
  readonly verb: string;
  /** What else has to be typed again to go on with it, such as a host. */
  readonly subject?: string;
  /** "Promote masterb.example.com: it becomes the active". */
  readonly title: string;
  /** What to know before saying yes. */
  readonly consequences: readonly string[];
  /** The preconditions, each tried for real. */
  readonly probes: readonly Probe[];
  readonly steps: readonly ProcedureStep[];
  /** The step from which on it can only be finished. Missing: each one can be undone. */
  readonly pointOfNoReturn?: string;
  /** What is left to people. */
  left(): Promise<readonly string[]>;
}

export type Probe = (signal: AbortSignal) => Promise<readonly Finding[]>;

/**
 * INVARIANTS: `do` may run twice; `isDone` looks at the world; `undo` may run when `do` never did, or was cut. A Failure of
 * class `incomplete` does not end the procedure: the next steps are done, and it says at the end what is missing.
 */
export interface ProcedureStep {
  /** A word or two, told apart from the other steps. */
  readonly name: string;
  /** What it does: "write pe_failover_mode: active into /opt/...". */
  readonly says: string;
  do(doing: Doing): Promise<void>;
  undo?(doing: Doing): Promise<void>;
  isDone(): Promise<boolean>;
}

export interface Doing {
  /** What it waits for now, or has found out. */
  tell(line: string): void;
  readonly signal: AbortSignal;
}

/** The plan as `--list-steps` shows it. */
export function planLines({ title, steps, pointOfNoReturn, consequences }: Procedure): string[] {
  const numbered = steps.flatMap(({ name, says }, n) => [
    ...(name === pointOfNoReturn ? ['     ---- until here it can be undone ----'] : []),
    `  ${String(n + 1).padStart(2)}. ${says}`,
  ]);
  return [title, ...consequences.map((line) => `  ${line}`), '', 'Steps:', ...numbered];
}
