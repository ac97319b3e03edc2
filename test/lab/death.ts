import { existsSync, mkdirSync, readFileSync, readdirSync, watch } from 'node:fs';
import { join } from 'node:path';
import { temporaryPattern } from '../../src/system/files.ts';
import { problemsOf } from '../helpers/ca-pair.ts';
import { eventually } from './eventually.ts';
import { secrets, type LabMaster } from './pair.ts';
import { psql, rbac } from './provision.ts';

const journals = '/var/lib/pe_failover/journal';

interface Line {
  readonly job: string;
  readonly step: string;
}

/** Watches the journals of a host from outside. A step stands there before it begins. */
export function watchSteps(host: LabMaster, onStep: (line: Line) => void): { stop(): void } {
  const directory = host.path(journals);
  mkdirSync(directory, { recursive: true });
  const seen = new Map<string, number>();
  const look = (): void => {
    for (const name of readdirSync(directory).filter((one) => one.endsWith('.jsonl'))) {
      const lines = linesOf(join(directory, name));
      const known = seen.get(name) ?? 0;
      seen.set(name, lines.length);
      for (const line of lines.slice(lines.length < known ? 0 : known)) onStep(line);
    }
  };
  const watcher = watch(directory, look);
  return { stop: () => watcher.close() };
}

function linesOf(path: string): Line[] {
  if (!existsSync(path)) return [];
  const whole = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return whole.map((text) => JSON.parse(text) as Line);
}

/** Which steps a job goes through in the work, as the program itself writes them down. */
export async function stepsOf(host: LabMaster, job: string, work: () => Promise<void>): Promise<string[]> {
  const steps: string[] = [];
  const watching = watchSteps(host, (line) => void (line.job === job && steps.push(line.step)));
  try {
    await work();
  } finally {
    watching.stop();
  }
  return steps;
}

interface How {
  readonly powerLoss: boolean;
}

/** Starts the work and lets the host die as soon as this step has begun. */
export const dieAt = (host: LabMaster, wanted: Line, work: () => Promise<void>, how: How): Promise<void> =>
  dieWhen(host, work, how, (now) =>
    watchSteps(host, ({ job, step }) => {
      if (job === wanted.job && step === wanted.step) now();
    }),
  );

/** Starts the work and lets the host die as soon as anything in this directory of it changes. */
export function dieWhenThere(host: LabMaster, directory: string, work: () => Promise<void>, how: How): Promise<void> {
  const path = host.path(directory);
  mkdirSync(path, { recursive: true });
  return dieWhen(host, work, how, (now) => {
    const watcher = watch(path, now);
    return { stop: () => watcher.close() };
  });
}

/** Everything in the host stands still from the moment that `now` is called. */
async function dieWhen(
  host: LabMaster,
  work: () => Promise<void>,
  how: How,
  begin: (now: () => void) => { stop(): void },
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const watching = begin(() => {
    host.freeze();
    watching.stop();
    resolve();
  });
  const late = setTimeout(() => reject(new Error('the moment to die never came')), 90_000);
  try {
    await work();
    await promise;
  } finally {
    clearTimeout(late);
    watching.stop();
  }
  await host.die(how);
}

/** What must not be left on a host when work has ended and its agent runs again. */
export async function leftovers(host: LabMaster): Promise<string[]> {
  const left: string[] = [];
  // What the spare signed lies far above the serial of an active, and stays there.
  const isActive = (await host.status()).role === 'active';
  const isNoProblem = (problem: string): boolean => isActive && problem.endsWith('lies above the serial');
  if (existsSync(join(host.cadir, 'serial')))
    left.push(...(await problemsOf(host.cadir)).filter((problem) => !isNoProblem(problem)));
  for (const directory of [host.cadir, join(host.cadir, 'signed'), host.path(secrets)]) {
    for (const name of existsSync(directory) ? readdirSync(directory) : [])
      if (temporaryPattern.test(name)) left.push(`${directory}/${name} is temporary`);
  }
  left.push(...readdirSync(host.path(journals)).map((name) => `journal ${name} is open`));
  const state = (await host.try('systemctl is-system-running')).stdout.trim();
  if (state !== 'running') left.push(`systemd is ${state}: ${await host.sh('systemctl --failed --no-legend')}`);
  return left;
}

/** What must be true of pe-rbac and those who use it, whatever happened. */
export async function databaseProblems(host: LabMaster, units: readonly string[]): Promise<string[]> {
  const problems: string[] = [];
  const list = await psql(
    host,
    'postgres',
    `SELECT datname || ' ' || datallowconn FROM pg_database WHERE datname LIKE '${rbac}%'`,
  );
  if (list !== `${rbac} true`) problems.push(`databases: ${list.replaceAll('\n', ', ')}`);
  for (const unit of units)
    if ((await host.try(`systemctl is-active ${unit}`)).exitCode !== 0) problems.push(`${unit} does not run`);
  return problems;
}

/** Until nothing is left over and nothing is wrong. */
export async function untilClean(host: LabMaster, units: readonly string[], withinMs = 60_000): Promise<void> {
  await eventually(
    `nothing is left over on ${host.name}`,
    async () => {
      const problems = [...(await leftovers(host)), ...(units.length > 0 ? await databaseProblems(host, units) : [])];
      if (problems.length > 0) throw new Error(problems.join('; '));
      return true;
    },
    { withinMs, everyMs: 200 },
  );
}
