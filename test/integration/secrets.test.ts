import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { caProblem } from '../demo/compare-ca.ts';
import { groupsProblem } from '../demo/compare-classifier.ts';
import { rbacProblem } from '../demo/compare-rbac.ts';
import { keyFilesProblem } from '../demo/day.ts';
import { commandOutput, editFact, keysJson, startAgent, type DemoMaster } from '../demo/master.ts';
import { until } from '../demo/until.ts';
import { startWorld, type World } from '../demo/world.ts';
import { pathsBelow } from '../helpers/pair.ts';
import { filesBelow } from '../helpers/readable-files.ts';
import { watchWordsOfProcesses } from '../helpers/words-of-processes.ts';
import { newGroup } from '../stand-in/classifier-model.ts';

const secret = (what: string): string => `${what}-${randomBytes(12).toString('hex')}`;
const made = {
  key: secret('key-file'),
  eyaml: secret('eyaml'),
  removed: secret('removed-file'),
  parameter: secret('class-parameter'),
  hash: secret('password-of-ldap'),
  token: secret('token-row'),
  judged: secret('row-in-an-error'),
  rbac: 'token-of-a-person', // the one that the console knows
};
const secretsDirectory = keysJson.replace(/\/[^/]*$/, '');
const signal = AbortSignal.timeout(400_000);
const soon = (problem: () => Promise<string | undefined>): Promise<number> =>
  until(problem, { limitMs: 60_000, signal });

/** Of each master; a line of it is enough to find it. */
function privateKeys({ root, cadir, certname }: DemoMaster): Record<string, string> {
  const { keys } = pathsBelow(root);
  const paths = {
    transfer: keys.transfer,
    signing: keys.signing,
    ca: join(cadir, 'ca_key.pem'),
    host: join(root, 'etc/puppetlabs/puppet/ssl/private_keys', `${certname}.pem`),
  };
  const middle = (path: string): string => readFileSync(path, 'utf8').split('\n').at(-3) ?? '';
  return Object.fromEntries(Object.entries(paths).map(([name, path]) => [`${name} of ${certname}`, middle(path)]));
}

const write = ({ root }: DemoMaster, name: string, text: string): void => {
  mkdirSync(join(root, secretsDirectory), { recursive: true });
  writeFileSync(join(root, secretsDirectory, name), text, { mode: 0o600 });
};

/** An agent that uses a token in place of its certificate, from here on. */
async function useToken(world: World, onLine: (line: string) => void): ReturnType<typeof startAgent> {
  const { a } = world;
  await world.agents.a.stop(40_000);
  const file = pathsBelow(a.root).config;
  const config = JSON.parse(readFileSync(file, 'utf8')) as { classifier: Record<string, unknown> };
  write(a, '../rbac-token', `${made.rbac}\n`);
  const token = { auth: 'token', token_file: join(a.root, secretsDirectory, '../rbac-token') };
  writeFileSync(file, JSON.stringify({ ...config, classifier: { ...config.classifier, ...token } }));
  return await startAgent(a, onLine);
}

/** A row that no other database takes, and whose error says it in each of its parts. */
const judgedRow = `SET ROLE "pe-rbac"; CREATE FUNCTION judge(v text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
  IF current_database() = 'pe-rbac' THEN RETURN true; END IF;
  RAISE EXCEPTION 'invalid value: "%"', v USING DETAIL = v, HINT = v; END $$;
  CREATE TABLE judged (v text CHECK (judge(v))); INSERT INTO judged VALUES ('${made.judged}'); RESET ROLE`;

/** What came within the hour may go again: a file that came before that is missed. */
function hoursLater({ root }: World['b']): void {
  const path = join(pathsBelow(root).state, 'files-news.json');
  writeFileSync(path, readFileSync(path, 'utf8').replace(/"at": *"[^"]*"/g, '"at": "2026-01-01T00:00:00.000Z"'));
}

async function playDay({ a, b }: World, says: (pattern: RegExp) => Promise<unknown>): Promise<void> {
  await soon(() => caProblem(a, b));
  write(a, 'keys.json', `{"key": "${made.key}"}\n`);
  write(a, 'eyaml', made.eyaml);
  for (let n = 0; n < 12; n += 1) write(a, `of-many-${n}`, made.removed);
  await a.console.put(newGroup({ name: 'With a secret', variables: { password: made.parameter } }));
  await a.cluster.sql(
    'pe-rbac',
    `UPDATE directory_settings SET password = convert_to('${made.hash}', 'UTF8'), display_name = 'changed';
     INSERT INTO tokens (user_id, token, creation, expiration) SELECT id, '${made.token}', now(), now() FROM subjects LIMIT 1`,
  );
  await soon(() => groupsProblem(a, b));
  await soon(() => rbacProblem(a, b));
  await soon(() => keyFilesProblem(a, b));
  await a.cluster.sql('pe-rbac', judgedRow);
  await says(/A.*db_dump\.sh ---> \[FAILURE\]/);
  await soon(() => Promise.resolve(existsSync(join(b.root, secretsDirectory, 'of-many-11')) ? undefined : 'not there'));
  hoursLater(b);
  for (let n = 0; n < 12; n += 1) rmSync(join(a.root, secretsDirectory, `of-many-${n}`));
  await says(/B.*update_passive_files\.sh ---> \[FAILURE\]/);
}

/** What may be read by somebody else, and what tells something to people or to the other side. */
function* told({ a, b, base }: World): Generator<readonly [string, string]> {
  for (const { root, cadir } of [a, b]) {
    const { state, receipts, holds, events } = pathsBelow(root);
    for (const { path, readers } of filesBelow(root)) {
      // Puppet's own group may read the key of its CA.
      const readable = path.startsWith(cadir) ? readers === 'all' : readers !== 'nobody';
      const tells =
        [receipts, holds].some((place) => path.startsWith(`${place}/`)) ||
        (path.startsWith(`${state}/`) && /\.json$/.test(path)) ||
        [events, join(root, 'agent.log')].includes(path);
      // The console is a stand-in, and keeps its groups as it likes.
      if ((readable || tells) && !path.startsWith(join(root, 'opt/console/')) && existsSync(path))
        yield [path.slice(base.length), readFileSync(path, 'latin1')];
    }
  }
  for (const name of readdirSync(tmpdir()).filter((one) => one.startsWith('pe-failover-list-')))
    yield [`temporary ${name}`, name];
}

it('no secret of a day, with its failures, holds and a promotion, is in what others may read: a file, a line, a process', async () => {
  const lines: string[] = [];
  using processes = watchWordsOfProcesses();
  const onLine = (letter: 'A' | 'B', line: string): void => void lines.push(`${letter} ${line}`);
  const says = (pattern: RegExp): Promise<unknown> =>
    soon(() =>
      Promise.resolve(lines.some((line) => pattern.test(line)) ? undefined : `nobody said ${String(pattern)}`),
    );
  const world = await startWorld({ say: () => undefined, onLine, signal });
  let agent: Awaited<ReturnType<typeof startAgent>> | undefined;
  try {
    const { a, b } = world;
    agent = await useToken(world, (line) => onLine('A', line));
    await playDay(world, says);
    const outputs: string[] = [];
    for (const master of [a, b])
      for (const words of [['status'], ['status', '--json'], ['holds'], ['check']])
        outputs.push(await commandOutput(master, ...words));
    await editFact(b, { pe_failover_mode: 'active', pe_failover_passive_master: a.certname });
    await says(/B.*Promoted: epoch 2/);

    const secrets = { ...made, ...privateKeys(a), ...privateKeys(b), bytes: Buffer.from(made.hash).toString('hex') };
    expect(Object.values(secrets).filter((text) => text.length < 16)).toEqual([]);
    const found: string[] = [];
    const look = (where: string, text: string): void => {
      for (const [name, value] of Object.entries(secrets)) if (text.includes(value)) found.push(`${name} in ${where}`);
    };
    for (const [where, text] of told(world)) look(where, text);
    for (const text of [...lines, ...outputs]) look(`what was said: ${text.slice(0, 200)}`, text);
    for (const text of processes.seen()) look(`a process: ${text.slice(0, 200)}`, text);
    expect(found).toEqual([]);
    expect(processes.seen().size).toBeGreaterThan(50);
    expect(outputs.join('\n')).toMatch(/files-vanish/);
    expect(lines.some((line) => line.includes('invalid value: (a value of a row)'))).toBe(true);
  } finally {
    await agent?.stop(3_000);
    await world.close({ hurry: true });
  }
}, 420_000);
