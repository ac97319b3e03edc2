// The console services of a master as a service: real processes that keep connections to pe-rbac.
// node console-service.ts start|stop|status DIRECTORY. DIRECTORY holds config.json (see classifier-main.ts), pid and log.
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startTime } from './processes.ts';

const classifier = join(import.meta.dirname, '../stand-in/classifier-main.ts');
const startMs = 20_000;

export interface ServiceCommands {
  readonly status: readonly string[];
  readonly start: readonly string[];
  readonly stop: readonly string[];
}

export function consoleCommands(directory: string): ServiceCommands {
  const run = (verb: string): string[] => [process.execPath, import.meta.filename, verb, directory];
  return { status: run('status'), start: run('start'), stop: run('stop') };
}

/** Undefined while it does not run. The started value tells two runs apart, by the kernel's word. */
export async function runningConsole(directory: string): Promise<{ pid: number; started: string } | undefined> {
  const pid = Number(read(join(directory, 'pid')) ?? 'none');
  const started = Number.isNaN(pid) ? undefined : await startTime(pid);
  return started === undefined ? undefined : { pid, started };
}

async function start(directory: string): Promise<void> {
  if ((await runningConsole(directory)) !== undefined) return;
  const log = join(directory, 'log');
  const output = openSync(log, 'w');
  const child = spawn(process.execPath, [classifier, '--config', join(directory, 'config.json')], {
    stdio: ['ignore', output, output],
    detached: true,
  });
  closeSync(output);
  writeFileSync(join(directory, 'pid.new'), String(child.pid));
  renameSync(join(directory, 'pid.new'), join(directory, 'pid'));
  for (let waited = 0; !(read(log) ?? '').includes('listening on'); waited += 20) {
    if (child.exitCode !== null || waited > startMs) throw new Error(`the console did not start: ${read(log)}`);
    await sleep(20);
  }
  child.unref();
}

async function stop(directory: string): Promise<void> {
  const running = await runningConsole(directory);
  if (running === undefined) return;
  process.kill(running.pid, 'SIGTERM');
  for (let waited = 0; (await runningConsole(directory)) !== undefined; waited += 10) {
    if (waited === 5_000) process.kill(running.pid, 'SIGKILL');
    await sleep(10);
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

if (process.argv[1] === import.meta.filename) {
  const [verb, directory = ''] = process.argv.slice(2);
  if (verb === 'start') await start(directory);
  else if (verb === 'stop') await stop(directory);
  else process.exitCode = (await runningConsole(directory)) === undefined ? 3 : 0;
}
