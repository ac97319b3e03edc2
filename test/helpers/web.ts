import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, uptime } from 'node:os';
import { join } from 'node:path';
import type { Serving, Switching } from '../../src/rules/health.ts';
import { program } from './pair.ts';
import { freePort } from './sshd.ts';

export interface Told {
  readonly status: number;
  readonly reason: string;
  readonly role: string;
}

/** The web process of a master, as its unit starts it. */
export interface Web extends AsyncDisposable {
  readonly port: number;
  readonly log: string[];
  health(query?: string): Promise<Told>;
  says(pattern: RegExp): Promise<void>;
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface WebPlaces {
  readonly notes: string;
  readonly puppetserver: number;
  readonly certname: string;
  readonly ca: string;
  /** Default: one that is free. */
  readonly port?: number;
}

/** Does not wait until it listens. */
export async function spawnWeb(places: WebPlaces): Promise<Web> {
  const port = places.port ?? (await freePort());
  const options = {
    root: places.notes, // not this machine's syslog
    'health-listen': `127.0.0.1:${port}`,
    puppetserver: `127.0.0.1:${places.puppetserver}`,
    certname: places.certname,
    ca: places.ca,
    notes: places.notes,
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
  const limited = ['-c', 'ulimit -n 1024; exec "$0" "$@"', program, 'web']; // LimitNOFILE of the unit
  const child = spawn('sh', [...limited, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  const log: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => log.push(text));
  const stop = (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> => endChild(child, signal);
  return {
    port,
    log,
    health: (query = '') => askHealth(port, query),
    says: async (pattern) => {
      const limit = AbortSignal.timeout(20_000);
      while (!pattern.test(log.join(''))) await once(child.stderr, 'data', { signal: limit });
    },
    stop,
    [Symbol.asyncDispose]: async () => void (await stop('SIGKILL')),
  };
}

export async function startWeb(places: WebPlaces): Promise<Web> {
  const web = await spawnWeb(places);
  await web.says(/Load balancers are answered/);
  return web;
}

async function endChild(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const ended = once(child, 'exit');
  child.kill(signal);
  const [code] = (await ended) as [number | null];
  return code;
}

export async function askHealth(port: number, query = ''): Promise<Told> {
  const answer = await fetch(`http://127.0.0.1:${port}/health${query}`, { signal: AbortSignal.timeout(20_000) });
  const { reason, role } = (await answer.json()) as { reason: string; role: string };
  return { status: answer.status, reason, role };
}

/** What a switch says. */
export function writeSwitching(directory: string, words: Partial<Switching> = {}): void {
  const note = { format: 1, up: uptime(), since: new Date().toISOString(), database: 'pe-rbac', ...words };
  writeFileSync(join(directory, 'switch.json'), JSON.stringify(note));
}

/** What an agent tells, by hand. */
export interface Notes extends Disposable {
  readonly directory: string;
  serving(words: Partial<Serving>): void;
  switching(words: Partial<Switching>): void;
}

export function makeNotes(): Notes {
  const directory = mkdtempSync(join(realpathSync(tmpdir()), 'pe-failover-web-'));
  const write = (name: string, note: object): void => writeFileSync(join(directory, name), JSON.stringify(note));
  const at = new Date().toISOString();
  return {
    directory,
    serving: (words) => write('serving.json', { format: 1, at, up: uptime(), role: 'active', ca: true, ...words }),
    switching: (words) => writeSwitching(directory, words),
    [Symbol.dispose]: () => rmSync(directory, { recursive: true }),
  };
}
