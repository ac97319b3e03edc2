import { execFileSync, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { chownSync, existsSync, mkdtempSync, readFileSync, statSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createAgentPair, type AgentMaster } from '../helpers/agents.ts';
import { pathsBelow } from '../helpers/pair.ts';
import { buildRbac } from '../helpers/pe-rbac.ts';
import { startCluster, type Cluster } from '../helpers/postgres-cluster.ts';
import { createTestCa } from '../stand-in/ca.ts';

const newYear = '0 0 1 1 *';

/** Nothing goes live by the clock: restores of the year are in January. */
const configOf = ({ socket, port, bin, runAs = userInfo().username }: Cluster): string =>
  [
    'peer_address: 127.0.0.1',
    `jobs: {db_dump: {poll: 1s, cron: "${newYear}"}, restore_dbs: {cron: "${newYear}"}}`,
    `postgres: {host: ${socket}, port: ${port}, bin: ${bin}, run_as: ${runAs}}`,
    'databases: [{name: pe-rbac, switch: schedule}]',
    'retention: {free_space: 10MB}',
    '',
  ].join('\n');

function wordsOf({ root }: AgentMaster): string[] {
  const path = join(pathsBelow(root).receipts, 'db-dump.pe-rbac.jsonl');
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
  return lines.map((line) => {
    const { sequence, state } = JSON.parse((JSON.parse(line) as { body: string }).body) as {
      sequence: number;
      state: string;
    };
    return `${sequence} ${state}`;
  });
}

/** What the real pg_upgrade says of a running cluster, checked against a new one of the same version. */
function upgradeCheck({ socket, bin }: Cluster): { status: number | null; said: string } {
  const { uid, gid } = statSync(socket);
  const fresh = mkdtempSync('/tmp/pe-failover-upgrade-');
  try {
    chownSync(fresh, uid, gid);
    const options = {
      uid,
      gid,
      cwd: fresh,
      encoding: 'utf8' as const,
      env: { PATH: process.env['PATH'], LC_ALL: 'C.UTF-8' },
    };
    execFileSync(`${bin}/initdb`, ['-D', join(fresh, 'data'), '-U', 'postgres', '-N', '-E', 'UTF8'], {
      ...options,
      stdio: 'pipe',
    });
    const args = [
      '--check',
      '-b',
      bin,
      '-B',
      bin,
      '-d',
      join(socket, 'data'),
      '-D',
      join(fresh, 'data'),
      '-U',
      'postgres',
    ];
    const { status, stdout, stderr } = spawnSync(`${bin}/pg_upgrade`, args, options);
    return { status, said: stdout + stderr };
  } finally {
    execFileSync('rm', ['-rf', fresh]);
  }
}

const upgrade = ['--for', '2h', '--reason', 'PE upgrade'] as const;

it('what is loaded is in the way of pg_upgrade until it is cleaned away, is loaded again afterwards, and apply --now makes it live', async () => {
  await using active = await startCluster();
  await using passive = await startCluster();
  for (const cluster of [active, passive]) await buildRbac(cluster, 'pe-rbac', { subjects: 5, tokens: 5 });
  await using pair = await createAgentPair((root) => configOf(root.endsWith('a') ? active : passive));
  const { a, b } = pair;
  await createTestCa(a.cadir, { name: 'agents.lab' });
  await cp(a.cadir, b.cadir, { recursive: true });
  const authority = new X509Certificate(readFileSync(join(a.cadir, 'ca_crt.pem')));
  expect(b.command('adopt', authority.fingerprint256)).toMatchObject({ code: 0 });
  b.start();
  a.start();
  await expect.poll(() => wordsOf(b), { timeout: 60_000 }).toContain('1 unchanged');
  await active.sql('pe-rbac', `INSERT INTO roles (display_name) VALUES ('of this minute')`);
  await expect.poll(() => wordsOf(b), { timeout: 60_000 }).toContain('2 staged');

  expect(upgradeCheck(passive)).toMatchObject({
    status: 1,
    said: expect.stringContaining('must allow connections') as string,
  });
  const met = b.command('check', '--before-upgrade');
  expect(met.code).toBe(2);
  expect(met.output).toMatch(/the database pe-rbac_restore_1_2 is ours: it allows no connections/);
  expect(met.output).toMatch(/these jobs are not paused: .*restore-dbs.*Type: pe-failover pause --all/);
  expect(b.command('check', '--before-upgrade', '--clean')).toMatchObject({ code: 75 });
  expect(b.command('pause', '--all', ...upgrade)).toMatchObject({ code: 0 });
  const cleaned = b.command('check', '--before-upgrade', '--clean');
  expect([cleaned.code, cleaned.output]).toEqual([
    0,
    expect.stringContaining('Nothing of pe-failover is in the way of an upgrade.'),
  ]);
  expect(upgradeCheck(passive)).toMatchObject({ status: 0 });
  const paused = b.command('apply', '--now', 'restore-dbs');
  expect([paused.code, paused.output]).toEqual([75, expect.stringContaining('Type: pe-failover resume restore-dbs')]);

  await a.stop('SIGKILL'); // what is there must do
  expect(b.command('resume')).toMatchObject({ code: 79 });
  const now = b.command('apply', '--now');
  expect([now.code, now.output]).toEqual([0, expect.stringMatching(/done +restore-dbs: /)]);
  expect(now.output).toMatch(/db-dump\.pe-rbac +applied: .* \(live since /);
  expect(await passive.sql('pe-rbac', `SELECT 1 FROM roles WHERE display_name = 'of this minute'`)).toHaveLength(1);
  expect(b.command('apply', '--now', 'restore-dbs')).toMatchObject({ code: 0 });
  expect(b.command('apply', '--now', 'sync-certs')).toMatchObject({ code: 64 });
  expect(b.command('apply')).toMatchObject({ code: 64 });
  expect(a.command('apply', '--now')).toMatchObject({ code: 75 });
  await b.stop();
  expect(b.command('apply', '--now', 'update-passive-ca')).toMatchObject({ code: 0 });

  a.start();
  b.start();
  const runs = (master: AgentMaster): boolean => /"runs": true/.test(master.command('status', '--json').output);
  await expect.poll(() => runs(a) && runs(b), { timeout: 30_000 }).toBe(true);
  const before = wordsOf(b).length;
  const anew = b.command('reinitialize', '--db', 'pe-rbac', '--yes', '--wait', '50s');
  expect([anew.code, anew.output]).toEqual([0, expect.stringContaining('Done in')]);
  expect(wordsOf(b).length).toBeGreaterThan(before);
  expect(wordsOf(b).at(-1)).toMatch(/^\d+ unchanged$/);
}, 300_000);
