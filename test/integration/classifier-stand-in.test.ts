import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serviceStates } from '../../src/puppet/services-status.ts';
import { temporaryDirectory } from '../helpers/classifier-fakes.ts';
import { createWorld, signal, type ClassifierWorld } from '../helpers/classifier-pair.ts';
import { startClassifier } from '../stand-in/classifier.ts';
import { holdDatabase, type DatabaseOptions } from '../stand-in/classifier-database.ts';

const run = promisify(execFile);
let world: ClassifierWorld;
beforeAll(async () => void (world = await createWorld()));
afterAll(() => world.close());

test('answers POST /groups with 303 to the new group, and a delta with the changed one', async () => {
  const { url, origin, tree } = await world.start();
  const parent = '00000000-0000-4000-8000-000000000000';
  const post = (to: string, body: unknown) =>
    world.http({ method: 'POST', url: to, body: JSON.stringify(body), signal, accept: [200, 204, 303, 400, 409, 422] });
  expect((await post(`${url}/groups`, { name: 'New', parent, classes: {} })).status).toBe(303);
  const made = tree.list().find((group) => group.name === 'New');
  const group = `${origin}/classifier-api/v1/groups/${made?.id}`;
  const changed = await post(group, { variables: { x: 1 }, rule: ['=', 'name', 'n'] });
  expect(JSON.parse(changed.text)).toMatchObject({ name: 'New', variables: { x: 1 }, serial_number: 2 });
  expect((await post(`${group}/pin`, { nodes: ['m'] })).status).toBe(204);
  expect(tree.get(made?.id ?? '').rule).toEqual(['or', ['=', 'name', 'n'], ['=', 'name', 'm']]);
  expect((await post(group, { serial_number: 1 })).status).toBe(409);
  const missing = await post(`${url}/groups`, { name: 'Bad', parent, classes: { nope: {} } });
  expect(JSON.parse(missing.text)).toMatchObject({ kind: 'missing-referents', details: [{ missing: 'nope' }] });
  expect((await world.http({ method: 'DELETE', url: group, signal })).status).toBe(204);
});

test.each<[string, (groups: Record<string, unknown>[]) => unknown, number, string]>([
  ['an unknown key', (groups) => [{ ...groups[0], deleted: {} }], 400, 'schema-violation'],
  ['no root', (groups) => groups.slice(1), 422, 'unreachable-groups'],
  ['an id twice', (groups) => [...groups, groups[1]], 422, 'uniqueness-violation'],
  ["another root's rule", ([root]) => [{ ...root, rule: ['=', 'name', 'x'] }], 422, 'root-rule-edit'],
  ['nothing', () => [], 500, 'application-error'],
])('import-hierarchy refuses %s, and keeps the old tree', async (_, change, status, kind) => {
  const { url, tree } = await world.start();
  const before = JSON.stringify(tree.list());
  const body = JSON.stringify(change(tree.list() as unknown as Record<string, unknown>[]));
  const answer = await world.http({ method: 'POST', url: `${url}/import-hierarchy`, body, signal, accept: [status] });
  expect(JSON.parse(answer.text)).toMatchObject({ kind });
  expect(JSON.stringify(tree.list())).toBe(before);
});

test('holds real connections: unhealthy while PostgreSQL is gone, healthy when it is back', async () => {
  const postgres = await startPostgres();
  const held = holdDatabase({ ...postgres.options, connections: 2 });
  const relayed = holdDatabase({ ...postgres.options, command: postgres.relay, connections: 1 });
  const up = (): boolean => held.up() && relayed.up();
  const { server, authority } = world;
  const tls = { cert: server.cert, key: server.key, ca: authority.ca };
  const standIn = await startClassifier({ host: 'x', tls, allowlist: () => [], databaseUp: up });
  const state = async () => (await serviceStates(world.http, standIn.origin, signal)).get('rbac-service');
  try {
    await expect.poll(state, { timeout: 10_000 }).toBe('running');
    await postgres.ctl('stop', '-m', 'fast');
    await expect.poll(state, { timeout: 10_000 }).toBe('error');
    await postgres.ctl('start', '-l', '/dev/null');
    await expect.poll(state, { timeout: 10_000 }).toBe('running');
  } finally {
    await held.close();
    await relayed.close();
    await standIn.close();
    await postgres.close();
  }
});

test('runs as a program, and ends at SIGTERM', async () => {
  const root = await temporaryDirectory();
  const path = (name: string): string => join(root, name);
  await writeFile(path('allowlist'), 'pe-failover.example.com\n');
  const { server, authority } = world;
  const config = { host: 'x', port: 0, cert: server.certPath, key: server.keyPath, ca: authority.caPath };
  await writeFile(
    path('config.json'),
    JSON.stringify({ ...config, allowlist: path('allowlist'), groups: path('groups.json') }),
  );
  const program = join(import.meta.dirname, '../stand-in/classifier-main.ts');
  const child = spawn(process.execPath, [program, '--config', path('config.json')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const origin = /https:\S+/.exec(String(line))?.[0] ?? '';
  const answer = await world.http({ method: 'GET', url: `${origin}/classifier-api/v1/groups`, signal });
  expect(JSON.parse(answer.text)).toHaveLength(16);
  const body = JSON.stringify([{ kind: 'starting', times: 1 }]);
  await world.http({ method: 'PUT', url: `${origin}/stand-in/faults`, body, signal });
  expect((await serviceStates(world.http, origin, signal)).get('classifier-service')).toBe('starting');
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([0, null]);
  await rm(root, { recursive: true });
});

/** A PostgreSQL of this test's own, run by an ordinary user where we are root. */
async function startPostgres() {
  const root = await temporaryDirectory();
  const { stdout } = await run('sh', ['-c', 'ls -d /usr/lib/postgresql/*/bin | tail -1']);
  const bin = stdout.trim();
  const isRoot = process.getuid?.() === 0;
  const { stdout: id } = await run('id', ['-u', 'postgres']);
  const asUser = isRoot ? ['setpriv', `--reuid=${id.trim()}`, `--regid=${id.trim()}`, '--clear-groups'] : ['env'];
  if (isRoot) await chown(root, Number(id), Number(id));
  await chmod(root, 0o755);
  const data = join(root, 'data');
  const pg = (tool: string, ...args: string[]) =>
    run(asUser[0] ?? '', [...asUser.slice(1), join(bin, tool), ...args], { cwd: root });
  await pg('initdb', '-D', data, '-U', 'tester', '-A', 'trust', '-N');
  await writeFile(
    join(data, 'postgresql.auto.conf'),
    `listen_addresses=''\nunix_socket_directories='${root}'\nfsync=off\n`,
  );
  const ctl = (verb: string, ...more: string[]) => pg('pg_ctl', '-D', data, '-w', verb, ...more);
  await ctl('start', '-l', '/dev/null');
  const options: DatabaseOptions = { host: root, user: 'tester', database: 'postgres' };
  const script = `const s=require('net').connect('${root}/.s.PGSQL.5432');process.stdin.pipe(s).pipe(process.stdout);s.on('error',()=>process.exit(1))`;
  return {
    options,
    relay: [process.execPath, '-e', script],
    ctl,
    close: async () => {
      await ctl('stop', '-m', 'immediate').catch(() => undefined);
      await rm(root, { recursive: true });
    },
  };
}
