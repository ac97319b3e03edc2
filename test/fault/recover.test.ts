import { existsSync, readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { argsFor, digestsOfDatabase, makeSpare } from '../helpers/database-spare.ts';
import type { Death } from '../helpers/database-switch-program.ts';
import {
  command,
  forgetSpare,
  installSpare,
  keyFile,
  removeInstalled,
  spareBelow,
} from '../helpers/installed-spare.ts';
import { buildRbac } from '../helpers/pe-rbac.ts';
import { startCluster, type Cluster } from '../helpers/postgres-cluster.ts';
import { deaths, dieInSwitch, freshPair, staging } from '../helpers/switch-deaths.ts';

let cluster: Cluster;
const digest: Record<string, string> = {};

beforeAll(async () => {
  cluster = await startCluster();
  await installSpare();
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
  removeInstalled();
  await cluster.stop();
});

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
  const freshOid = await freshPair(cluster, bad ? 'bad' : 'new');
  const spare = await makeSpare(cluster, 'pe-rbac');
  try {
    const { root, journal } = spareBelow(spare.places);
    const needs = [{ file: keyFile, sha256: createHash('sha256').update('key of new').digest('hex') }];
    const healthy = bad ? ['console'] : [];
    const args = { ...(await argsFor(cluster, 'pe-rbac', staging, freshOid)), needs, healthy };
    await dieInSwitch({ places: spare.places, args, journal, death });
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
    forgetSpare(spare.places);
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
