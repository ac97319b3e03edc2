import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { createAgentPair, type AgentMaster } from '../helpers/agents.ts';
import { pathsBelow } from '../helpers/pair.ts';
import { buildRbac } from '../helpers/pe-rbac.ts';
import { startCluster, type Cluster } from '../helpers/postgres-cluster.ts';
import { createTestCa } from '../stand-in/ca.ts';

const stream = 'db-dump.pe-rbac';
const keys = 'etc/puppetlabs/console/keys.json';
const newYear = '0 0 1 1 *';

/** Nothing runs by the clock: dumps and restores of the year are in January. No list of files names the keys. */
const configOf = ({ socket, port, bin, runAs = userInfo().username }: Cluster): string =>
  [
    `jobs: {db_dump: {poll: 1s, cron: "${newYear}"}, restore_dbs: {cron: "${newYear}"}}`,
    `postgres: {host: ${socket}, port: ${port}, bin: ${bin}, run_as: ${runAs}}`,
    `databases: [{name: pe-rbac, needs: [/${keys}], switch: schedule}]`,
    'retention: {free_space: 10MB}',
    '',
  ].join('\n');

/** What the spare's root said of each drop of the database, so far. */
function wordsOf({ root }: AgentMaster): string[] {
  const path = join(pathsBelow(root).receipts, `${stream}.jsonl`);
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
  return lines.map((line) => {
    const { body } = JSON.parse(line) as { body: string };
    const { sequence, state } = JSON.parse(body) as { sequence: number; state: string };
    return `${sequence} ${state}`;
  });
}

it('a change in a database is on the spare before any minute comes, and a promotion loses none of it, keys included', async () => {
  await using active = await startCluster();
  await using passive = await startCluster();
  for (const cluster of [active, passive]) await buildRbac(cluster, 'pe-rbac', { subjects: 20, tokens: 20 });
  await using pair = await createAgentPair((root) => configOf(root.endsWith('a') ? active : passive));
  const { a, b } = pair;
  await createTestCa(a.cadir, { name: 'agents.lab' });
  await cp(a.cadir, b.cadir, { recursive: true });
  const authority = new X509Certificate(readFileSync(join(a.cadir, 'ca_crt.pem')));
  expect(b.command('adopt', authority.fingerprint256)).toMatchObject({ code: 0 });
  for (const { root, certname } of [a, b]) {
    mkdirSync(dirname(join(root, keys)), { recursive: true });
    writeFileSync(join(root, keys), `key of ${certname}`);
  }
  b.start();
  a.start();
  await expect.poll(() => wordsOf(b), { timeout: 30_000 }).toContain('1 unchanged');
  await active.sql('pe-rbac', `INSERT INTO roles (display_name) VALUES ('of this minute')`);
  await expect.poll(() => wordsOf(b), { timeout: 30_000 }).toContain('2 staged');

  await a.stop('SIGKILL');
  b.setFacts({ pe_failover_mode: 'active' });
  await b.says(/Promoted: epoch 2\./, 60_000);
  const roles = await passive.sql('pe-rbac', `SELECT 1 FROM roles WHERE display_name = 'of this minute'`);
  expect(roles).toHaveLength(1);
  expect(readFileSync(join(b.root, keys), 'utf8')).toBe('key of mastera.test');
}, 150_000);
