import type { AgentView } from '../agent/agent.ts';
import type { StatusReport } from '../agent/status.ts';
import { openHost, openMaster, type Master } from '../app.ts';
import { Failure } from '../errors.ts';
import { reportOf } from '../role-work.ts';
import { caState } from '../surroundings.ts';
import { printable } from '../rules/log-line.ts';
import { spokenPause } from '../rules/pause.ts';
import { counted, spokenDuration } from '../rules/spoken.ts';
import { askControl } from '../system/control.ts';

export interface StatusOptions {
  readonly json: boolean;
  /** What to wait for; undefined: do not wait. */
  readonly wait: string | undefined;
  readonly waitMs: number;
}

/** Tells how this master stands; the exit code is the verdict's. */
export async function status(root: string, options: StatusOptions, signal: AbortSignal): Promise<number> {
  const master = await openMaster(await openHost(root), { stderr: false }).catch(asNotInstalled);
  if (master === undefined) {
    console.log('UNKNOWN: this master is not installed. Type: pe-failover install');
    return 3;
  }
  try {
    if (options.wait !== undefined) return await waitFor(master, options.wait, options.waitMs, signal);
    const report = await askAgent(master, signal);
    console.log(options.json ? JSON.stringify(report, undefined, 2) : await render(report, master));
    return report.verdict.code;
  } finally {
    await master.log.close();
  }
}

function asNotInstalled(error: unknown): undefined {
  if (!(error instanceof Failure) || error.class !== 'config' || !error.message.includes('install')) throw error;
}

async function askAgent(master: Master, signal: AbortSignal): Promise<StatusReport> {
  const view = await askControl(master.paths.control, 'status', {}, { signal }).catch(() => undefined);
  return await reportOf(master, view as AgentView | undefined);
}

async function render(report: StatusReport, master: Master): Promise<string> {
  const { verdict, certname, role, epoch, peer, agent } = report;
  const lines = [
    verdict.text,
    '',
    `${certname}: ${role}, epoch ${epoch ?? 'none'}${peer === undefined ? '' : `, peer ${peer}`}${report.since === undefined ? '' : `, since ${report.since}`}`,
  ];
  if (agent.changing !== undefined) lines.push(`Changing: ${agent.changing}`);
  const ca = await caState(master);
  lines.push(`CA: ${ca.why}${ca.fingerprint === undefined ? '' : `, fingerprint ${ca.fingerprint}`}`, '');
  for (const { stream, ageSeconds, state, why, captured, delivered, staged, applied } of report.components) {
    lines.push(
      `${stream.padEnd(20)} ${state}${ageSeconds === undefined ? '' : `, agreed ${spokenDuration(ageSeconds * 1000)} ago`}: ${why}`,
    );
    const times = Object.entries({ captured, delivered, staged, applied }).filter(([, at]) => at !== undefined);
    if (times.length > 0) lines.push(`  ${times.map(([name, at]) => `${name} ${String(at)}`).join('  ')}`);
  }
  if (agent.jobs.length > 0) lines.push('');
  for (const { job, state, why } of agent.jobs) {
    lines.push(`${job.padEnd(20)} ${state}: ${why}`);
  }
  if (report.pauses.length > 0) lines.push('');
  for (const { job, ...pause } of report.pauses) lines.push(`${job} is ${spokenPause(pause)}`);
  const { expectedDeletions: expected } = report;
  if (expected !== undefined)
    lines.push('', `Up to ${counted(expected.count, 'deletion')} of certificates expected until ${expected.until}`);
  if (report.interrupted !== undefined) lines.push('', report.interrupted);
  for (const sentence of report.keys) lines.push('', `Keys: ${sentence}`);
  for (const sentence of report.nearlyFull) lines.push('', sentence);
  for (const { id, sentence } of report.holds) lines.push('', `Held ${id}: ${sentence}`);
  return lines.map(printable).join('\n'); // names and reasons in it are of the other master
}

async function waitFor(master: Master, what: string, waitMs: number, signal: AbortSignal): Promise<number> {
  if (what !== 'ca-ready')
    throw new Failure('usage', 'cannot wait for that', {
      where: what,
      hint: 'Type: pe-failover status --wait ca-ready',
    });
  const end = master.clock.monotonic() + waitMs;
  for (;;) {
    const { ready, why } = await caState(master);
    if (ready) {
      console.log(`The CA is complete: ${why}`);
      return 0;
    }
    if (master.clock.monotonic() >= end) {
      console.log(`The CA is not complete: ${why}`);
      return 2;
    }
    await master.clock.sleep(250, signal);
  }
}
