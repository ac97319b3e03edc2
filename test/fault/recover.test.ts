import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sweepLeftovers } from '../../src/puppet/database-staging.ts';
import { createStanding } from '../../src/puppet/database-standing.ts';
import { switchSteps, type SwitchArgs } from '../../src/puppet/database-switch.ts';
import { serviceCommands } from '../helpers/database-service.ts';
import { argsFor, digestsOfDatabase, makeSpare, switchTools, type SparePlaces } from '../helpers/database-spare.ts';
import type { Death, Work } from '../helpers/database-switch-program.ts';
import { pairingLineOf } from '../helpers/own-system.ts';
import { pathsBelow, program } from '../helpers/pair.ts';
import { buildRbac } from '../helpers/pe-rbac.ts';
import { startCluster, type Cluster } from '../helpers/postgres-cluster.ts';

const switching = join(import.meta.dirname, '../helpers/database-switch-program.ts');
const staging = 'pe-rbac_restore_1_1';
const keyFile = '/etc/keys.json';
let cluster: Cluster;
/** An installed spare, of which each test has a copy. */
const installed = mkdtempSync(join(tmpdir(), 'pe-failover-recover-'));
const digest: Record<string, string> = {};

beforeAll(async () => {
  cluster = await startCluster();
  await install();
  await buildRbac(cluster, 'old', { subjects: 5, tokens: 5 });
  for (const [name, row] of [
    ['new', 'added'],
    ['bad', 'poison'],
  ] as const) {
    await cluster.sql('postgres', `CREATE DATABASE "${name}" OWNER "pe-rbac" TEMPLATE "old"`);
    await cluster.sql(name, `INSERT INTO roles (display_name) VALUES ('${row}')`);
  }
  for (const name of ['old', 'new', 'bad']) digest[name] = (await digestsOfDatabase(cluster, name)).digest;
});
afterAll(async () => {
  rmSync(installed, { recursive: true });
  await cluster.stop();
});

/** Every point of the journal, asked of the steps themselves. */
function deaths(way: SwitchArgs['way']): Death[] {
  const nowhere: SparePlaces = { socket: '/', bin: '/', runAs: undefined, home: '/', services: {}, database: 'x' };
  const tools = switchTools(nowhere);
  const names = switchSteps(tools, createStanding(tools.admin), { way } as SwitchArgs).map((step) => step.name);
  const before = [...names, 'close'].map((step): Death => ({ way, when: 'before', step }));
  return [...before, ...names.map((step): Death => ({ way, when: 'recorded', step }))];
}

async function freshPair(fresh: 'new' | 'bad'): Promise<number> {
  await using session = await cluster.open();
  await sweepLeftovers(session, 'pe-rbac', []);
  await session.query(`DROP DATABASE IF EXISTS "pe-rbac" WITH (FORCE)`);
  await session.query(`CREATE DATABASE "pe-rbac" OWNER "pe-rbac" TEMPLATE "old"`);
  await session.query(`CREATE DATABASE "${staging}" OWNER "pe-rbac" TEMPLATE "${fresh}"`);
  await session.query(`ALTER DATABASE "${staging}" ALLOW_CONNECTIONS false`);
  const [row] = await session.query<{ oid: string }>(`SELECT oid::text FROM pg_database WHERE datname = '${staging}'`);
  return Number(row?.oid);
}

const write = (root: string, path: string, text: string): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text, { mode: 0o600 });
};
const configure = (root: string, config: object): void =>
  write(root, 'etc/puppetlabs/pe_failover/pe_failover.yaml', JSON.stringify({ platform: 'puppet', ...config }));

async function install(): Promise<void> {
  const line = await pairingLineOf('mastera.test');
  configure(installed, { certname: 'masterb.test' });
  write(installed, 'etc/ssh/ssh_host_ed25519_key.pub', `${line.split(' ').slice(0, 2).join(' ')}\n`);
  const { code, output } = command(installed, 'install', '--passive', '--auth-key', line);
  expect(code, output).toBe(0);
}

/** A spare below the places of the switch, with the same key files. Its configuration lists no database any more. */
function spareBelow({ home, services, socket, database }: SparePlaces): { root: string; journal: string } {
  const root = join(home, 'root');
  cpSync(installed, root, { recursive: true });
  const commands = Object.entries(services).map(([unit, at]) => [unit, serviceCommands(at, socket, database)]);
  configure(root, {
    certname: 'masterb.test',
    paths: { cadir: join(root, 'ca') },
    postgres: { host: socket, bin: cluster.bin, run_as: cluster.runAs },
    services: { manager: 'commands', commands: Object.fromEntries(commands) as object },
    jobs: { restore_dbs: { health_wait: '200ms' } },
  });
  const paths = pathsBelow(root);
  const kept = join(paths.archive, 'key-files');
  mkdirSync(kept);
  symlinkSync(paths.keyFiles, join(home, 'waiting'));
  symlinkSync(kept, join(home, 'kept'));
  write(root, keyFile, 'key of old');
  write(paths.keyFiles, keyFile, 'key of new');
  return { root, journal: join(paths.journal, 'restore-dbs.pe-rbac.jsonl') };
}

function command(root: string, verb: string, ...args: string[]): { code: number | null; output: string } {
  const options = { encoding: 'utf8', timeout: 60_000 } as const;
  const { status, stdout, stderr } = spawnSync(program, [verb, '--root', root, ...args], options);
  return { code: status, output: stdout + stderr };
}

async function dieAt(work: Work): Promise<void> {
  const child = spawn(process.execPath, [switching, JSON.stringify(work)], { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
  expect({ code, signal }).toEqual({ code: null, signal: 'SIGKILL' });
}

async function whatIsLive(root: string): Promise<string> {
  const rows = await cluster.sql<{ open: boolean }>(
    'postgres',
    `SELECT datallowconn AS open FROM pg_database WHERE datname = 'pe-rbac'`,
  );
  expect(rows).toEqual([{ open: true }]);
  const live = (await digestsOfDatabase(cluster, 'pe-rbac')).digest;
  const name = Object.keys(digest).find((one) => digest[one] === live) ?? 'none';
  return `${name}, ${readFileSync(join(root, keyFile), 'utf8')}`;
}

async function killAndRecover(death: Death, atBoot: boolean): Promise<void> {
  const bad = death.way === 'back';
  const freshOid = await freshPair(bad ? 'bad' : 'new');
  const spare = await makeSpare(cluster, 'pe-rbac');
  try {
    const { root, journal } = spareBelow(spare.places);
    const needs = [{ file: keyFile, sha256: createHash('sha256').update('key of new').digest('hex') }];
    const healthy = bad ? ['console'] : [];
    const args = { ...(await argsFor(cluster, 'pe-rbac', staging, freshOid)), needs, healthy };
    await dieAt({ places: spare.places, args, journal, death });
    const whole = ['old, key of old', bad ? 'bad, key of new' : 'new, key of new'];
    if (atBoot) {
      await spare.tools.services.stop('console');
      const wasOpen = existsSync(journal);
      const opened = command(root, 'recover', '--before-services');
      expect(opened.code, opened.output).toBe(0);
      expect(whole).toContain(await whatIsLive(root));
      expect(await spare.tools.services.isActive('console')).toBe(false);
      expect(existsSync(journal)).toBe(wasOpen);
      await spare.tools.services.start('console'); // as systemd does, behind it
    }
    const ended = command(root, 'recover');
    expect(ended.code, ended.output).toBe(0);
    expect(bad ? whole.slice(0, 1) : whole).toContain(await whatIsLive(root));
    expect(await spare.tools.services.isActive('console')).toBe(true);
    expect(spare.idlePid()).toBeUndefined();
    expect(existsSync(journal)).toBe(false);
  } finally {
    await spare.stop();
  }
}

const named = ({ way, when, step }: Death): string => `${way === 'back' ? 'the way back ' : ''}killed ${when} ${step}`;
const all = [...deaths('forward'), ...deaths('back')];
const half = new Set(['close', 'swap', 'start services', 'close again', 'swap back', 'open again']);

describe('a switch that was killed at any point is ended by a command, without an agent', () => {
  for (const death of all.filter(({ when }) => when === 'recorded'))
    test(named(death), () => killAndRecover(death, false));
});

describe('at a boot the right database is open, with its keys, before services start; the rest is ended later', () => {
  for (const death of all.filter(({ when, step }) => when === 'before' || half.has(step)))
    test(named(death), () => killAndRecover(death, true));
});
