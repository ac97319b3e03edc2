// A service as Puppet's are: a process that keeps a connection to its database and tells how it is. Run as a program:
// `serve DIR SOCKET DATABASE` is the service; `start|stop|status DIR SOCKET DATABASE` are its commands.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { Client } from 'pg';
import type { Health } from '../../src/puppet/health.ts';
import type { ServiceCommands } from '../../src/system/service-manager.ts';

const program = import.meta.filename ?? '';

export const serviceCommands = (directory: string, socket: string, database: string): ServiceCommands => {
  const run = (verb: string): string[] => [process.execPath, program, verb, directory, socket, database];
  return { status: run('status'), start: run('start'), stop: run('stop') };
};

/** Asks the services of these directories. */
export const serviceHealth = (directories: Readonly<Record<string, string>>): Health => ({
  unhealthy: async (names) => {
    const bad = new Map<string, string>();
    for (const name of names) {
      const answer = await ask(directories[name] ?? '').catch((error: unknown) => String(error));
      if (answer !== 'running') bad.set(name, answer);
    }
    return bad;
  },
});

async function ask(directory: string): Promise<string> {
  const socket = connect(join(directory, 'status'));
  try {
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    return text;
  } finally {
    socket.destroy();
  }
}

export function servicePid(directory: string): number | undefined {
  const file = join(directory, 'pid');
  if (!existsSync(file)) return undefined;
  const pid = Number(readFileSync(file, 'utf8'));
  try {
    const state = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0];
    return state === 'Z' ? undefined : pid; // ended, and not yet waited for by init
  } catch {
    return undefined;
  }
}

/** Ends every process that `start` ever made here, also one that its pid file lost. Returns how many were lost. */
export function endAll(directory: string): number {
  const file = join(directory, 'started');
  const pids = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean).map(Number) : [];
  const alive = pids.filter((pid) => {
    const command = `/proc/${pid}/cmdline`;
    return existsSync(command) && readFileSync(command, 'utf8').includes(directory);
  });
  for (const pid of alive) process.kill(pid, 'SIGKILL');
  return alive.length;
}

async function start(directory: string, socket: string, database: string): Promise<void> {
  if (servicePid(directory) !== undefined) return;
  rmSync(join(directory, 'status'), { force: true });
  const child = spawn(process.execPath, [program, 'serve', directory, socket, database], {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    detached: true,
  });
  appendFileSync(join(directory, 'started'), `${child.pid}\n`);
  writeFileSync(join(directory, 'pid.new'), String(child.pid));
  renameSync(join(directory, 'pid.new'), join(directory, 'pid')); // never seen empty
  await once(child, 'message'); // listening
  child.disconnect();
  child.unref();
}

async function stop(directory: string): Promise<void> {
  const pid = servicePid(directory);
  if (pid === undefined) return;
  process.kill(pid, 'SIGTERM');
  while (servicePid(directory) !== undefined) await new Promise((done) => setTimeout(done, 5));
}

function serve(directory: string, socket: string, database: string): void {
  let client: Client | undefined;
  const state = async (): Promise<string> => {
    try {
      if (client === undefined) {
        const fresh = new Client({ host: socket, user: 'pe-rbac', database });
        fresh.on('error', () => (client = undefined));
        await fresh.connect();
        client = fresh;
      }
      const { rows } = await client.query(`SELECT FROM roles WHERE display_name = 'poison'`);
      return rows.length === 0 ? 'running' : 'error: poisoned';
    } catch (error) {
      client = undefined;
      return `error: ${String(error)}`;
    }
  };
  const answer = (peer: Socket): void => {
    peer.on('error', () => undefined);
    void state().then((text) => peer.end(text));
  };
  const server = createServer({ allowHalfOpen: true }, answer);
  server.listen(join(directory, 'status'), () => void state().then(() => process.send?.('listening')));
  process.on('SIGTERM', () => process.exit(0));
}

if (process.argv[1] === program) {
  const [verb, directory = '', socket = '', database = ''] = process.argv.slice(2);
  if (verb === 'serve') serve(directory, socket, database);
  else if (verb === 'start') await start(directory, socket, database);
  else if (verb === 'stop') await stop(directory);
  else process.exitCode = servicePid(directory) === undefined ? 3 : 0;
}
