import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseInventoryLine } from '../../src/rules/inventory.ts';
import { problemsOf } from '../helpers/ca-pair.ts';
import { databaseProblems } from './death.ts';
import { eventually } from './eventually.ts';
import { startLightPair, type LightPair } from './light-pair.ts';
import { report } from './numbers.ts';
import {
  certificates,
  databases,
  files,
  groups,
  nextChange,
  sidesOf,
  unitsOfSpare,
  untilWhole,
  type Operation,
} from './operations.ts';
import { cadir, everything, untilAgreed, type LabMaster } from './pair.ts';
import { psql, rbac } from './provision.ts';
import { giveOwnDisk, type SmallDisk } from './small-disk.ts';

const data = '/var/lib/pe_failover';
const cluster = '/var/lib/postgresql/15/main/base';
let pair: LightPair;
let disks: Readonly<Record<'ofActive' | 'ofSpare' | 'ofCa' | 'ofPostgres', SmallDisk>>;
beforeAll(async () => {
  const { a, b, ...rest } = await startLightPair('disks', { configuration: everything, withConsole: true });
  disks = {
    ofActive: await giveOwnDisk(a, data, 384, ['pe-failover']),
    ofSpare: await giveOwnDisk(b, data, 384, ['pe-failover']),
    ofCa: await giveOwnDisk(b, cadir, 8, ['pe-failover']),
    ofPostgres: await giveOwnDisk(b, cluster, 160, ['pe-failover', 'pe-console-services', 'postgresql']),
  };
  pair = { ...rest, a, b: { ...b, path: b.pathWithMounts, cadir: b.pathWithMounts(cadir) } };
}, 300_000);
beforeEach(async () => {
  for (const disk of Object.values(disks)) await disk.mount('rw').then(disk.free); // of a test that failed
  for (const operation of [certificates, files, groups, databases]) await operation.untilThere(sidesOf(pair));
  await untilAgreed(pair);
  for (const { syslog } of [pair.a, pair.b]) syslog.forget();
}, 300_000);
afterAll(() => pair[Symbol.asyncDispose]());

const change = (operation: Operation): Promise<void> => nextChange(operation, sidesOf(pair));

const saidOf = ({ syslog }: LabMaster, job: string, words: string): readonly string[] =>
  syslog.lines().filter((line) => line.includes(`${job.replaceAll('-', '_')}.sh`) && line.includes(words));
const failuresOf = (master: LabMaster, job: string): readonly string[] => saidOf(master, job, '[FAILURE]');

/** Each of these jobs says it, and says it once, however often it tried. */
async function oneFailureEach(master: LabMaster, jobs: readonly string[], pattern: RegExp): Promise<void> {
  for (const job of jobs)
    await eventually(`${job} says so`, () => failuresOf(master, job).length > 0, { withinMs: 60_000 });
  await sleep(5_000); // for more tries
  for (const job of jobs) {
    expect(failuresOf(master, job)).toEqual([expect.stringMatching(pattern)]);
  }
}

/** By itself, within a minute; a switch of a database comes on top. */
async function isThereSoon(operations: readonly Operation[]): Promise<void> {
  const at = performance.now();
  for (const operation of operations) await operation.untilThere(sidesOf(pair));
  report(
    `trouble of a disk is over until ${operations.map(({ job }) => job).join(', ')} are live`,
    performance.now() - at,
  );
  for (const operation of operations) await untilWhole(sidesOf(pair), operation);
  await untilAgreed(pair, 60_000);
}

const all = [certificates, files, groups, databases];
const senders = all.map(({ sender }) => sender);

describe('a disk that is full', () => {
  it('on the active, that its own data lie on: every job says so once, and what changed is live when there is room', async () => {
    await disks.ofActive.fill();
    for (const operation of all) await change(operation);
    await oneFailureEach(pair.a, senders, /disk is full \(\/var\/lib\/pe_failover\).* df -h \/var\/lib\/pe_failover/);
    await disks.ofActive.free();
    await isThereSoon(all);
    for (const job of [...senders, 'agent'])
      await eventually(
        `${job} says that it is over`,
        () => saidOf(pair.a, job, 'works again after').length === failuresOf(pair.a, job).length,
      );
  });

  it('on the spare, that drops arrive on: the active says so once for each, and they are live when there is room, though its agent was started meanwhile', async () => {
    await disks.ofSpare.fill();
    for (const operation of all) await change(operation);
    await oneFailureEach(pair.a, senders, /the spare says.*disk is full \(\/var\/lib\/pe_failover\).* df -h/);
    await pair.b.sh('systemctl restart pe-failover');
    await pair.b.syslog.says(/agent\.sh ---> \[FAILURE\].*df -h \/var\/lib\/pe_failover/);
    await disks.ofSpare.free();
    await isThereSoon(all);
  });

  it('with the CA of the spare: the CA there stays valid, no line of its inventory is half there, and it is finished', async () => {
    const { b, ca } = pair;
    await disks.ofCa.fill();
    await ca.signMany(Array.from({ length: 60 }, (_, n) => `many-${n}.lab`));
    await oneFailureEach(b, ['update-passive-ca'], /disk is full \(\/etc\/puppet\/puppetserver\/ca\).* df -h/);
    expect(await problemsOf(b.cadir)).toEqual([]);
    const lines = readFileSync(join(b.cadir, 'inventory.txt'), 'utf8').split('\n').slice(0, -1);
    expect(lines.filter((line) => parseInventoryLine(line) === undefined)).toEqual([]);
    await disks.ofCa.free();
    await isThereSoon([certificates]);
  });

  it('with the databases of the spare, while one is loaded: the live one serves, and the new one is live when there is room', async () => {
    const { a, b } = pair;
    await disks.ofPostgres.fill(16 * 1024 * 1024);
    const rows = 'SELECT n AS id, repeat(md5(n::text), 8) AS text FROM generate_series(1, 100000) n';
    await psql(a, rbac, `SET ROLE "pe-rbac"; CREATE TABLE filling AS ${rows}`);
    await b.syslog.says(/restore_dbs\.sh ---> \[FAILURE\]/, 120_000);
    expect(failuresOf(b, 'restore-dbs')).toEqual([
      expect.stringMatching(/full, \/var\/lib\/postgresql\/15\/main\/base.* df -h/),
    ]);
    expect(await databaseProblems(b, unitsOfSpare)).toEqual([]);
    await disks.ofPostgres.free();
    await b.syslog.says(/restore_dbs\.sh ---> \[SUCCESS\] Completed restore of database pe-rbac/, 90_000);
    expect(await psql(b, rbac, 'SELECT count(*) FROM filling')).toBe('100000');
    await isThereSoon([databases]);
  });
});

describe('a file system that is read-only', () => {
  it('with the CA of the spare: one failure names it, and certificates are live when it can be written again', async () => {
    await disks.ofCa.mount('ro');
    await change(certificates);
    await oneFailureEach(
      pair.b,
      ['update-passive-ca'],
      /read-only \(\/etc\/puppet\/puppetserver\/ca\).*mount -o remount,rw \/etc\/puppet\/puppetserver\/ca/,
    );
    await disks.ofCa.mount('rw');
    await isThereSoon([certificates]);
  });

  it.each(['a', 'b'] as const)(
    'with the own data of master%s when its agent starts: the agent says so, waits, and goes on by itself',
    async (side) => {
      const master = pair[side];
      const disk = side === 'a' ? disks.ofActive : disks.ofSpare;
      await master.sh('systemctl stop pe-failover');
      await disk.mount('ro');
      await master.sh('systemctl start pe-failover');
      for (const operation of all) await change(operation);
      await oneFailureEach(
        master,
        ['agent'],
        /cannot start.*read-only \(\/var\/lib\/pe_failover\).*mount -o remount,rw \/var\/lib\/pe_failover/,
      );
      expect(await master.sh('systemctl show -P NRestarts -P ActiveState pe-failover')).toBe('0\nactive');
      await disk.mount('rw');
      await isThereSoon(all);
    },
  );
});
