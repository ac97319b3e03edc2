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

/** Which steps the work goes through, as the program itself writes them down. */
export async function stepsOf(host: LabMaster, work: () => Promise<void>): Promise<string[]> {
  const steps: string[] = [];
  const watching = watchSteps(host, ({ job, step }) => void steps.push(`${job}: ${step}`));
  await work();
  watching.stop();
  return steps;
}

/** Starts the work and lets the host die as soon as this step has begun; everything in it stands still from that moment. */
export async function dieAt(
  host: LabMaster,
  wanted: string,
  work: () => Promise<void>,
  how: { powerLoss: boolean },
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const watching = watchSteps(host, ({ job, step }) => {
    if (`${job}: ${step}` !== wanted) return;
    host.freeze();
    resolve();
  });
  try {
    await work();
    const late = AbortSignal.timeout(60_000);
    late.addEventListener('abort', () => resolve());
    await promise;
    if (late.aborted) throw new Error(`step "${wanted}" never came`);
  } finally {
    watching.stop();
  }
  await host.die(how);
}

/** What must not be left on a host when work has ended and its agent runs again. */
export async function leftovers(host: LabMaster): Promise<string[]> {
  const left: string[] = [];
  if (existsSync(join(host.cadir, 'serial'))) left.push(...(await problemsOf(host.cadir)));
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
