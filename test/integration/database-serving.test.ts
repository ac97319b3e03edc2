import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createDatabasePair, type DatabasePair } from '../helpers/database-pair.ts';
import { servicePid } from '../helpers/database-service.ts';
import { pathsBelow } from '../helpers/pair.ts';
import { createTlsAuthority, type TlsAuthority } from '../helpers/tls-authority.ts';
import { startWeb, type Told, type Web } from '../helpers/web.ts';
import { startPuppetserver, type Puppetserver } from '../stand-in/puppetserver.ts';

let pair: DatabasePair;
let authority: TlsAuthority;
let puppetserver: Puppetserver;
let web: Web;

beforeAll(async () => {
  [pair, authority] = await Promise.all([createDatabasePair({}, 100), createTlsAuthority()]);
  const { certname, root } = pair.b;
  puppetserver = await startPuppetserver(authority, certname);
  web = await startWeb({
    notes: pathsBelow(root).web,
    puppetserver: puppetserver.port,
    certname,
    ca: authority.caPath,
  });
  pair.b.start();
  pair.a.start();
  await pair.arrives();
});
afterAll(async () => {
  await web[Symbol.asyncDispose]();
  await puppetserver[Symbol.asyncDispose]();
  await pair[Symbol.asyncDispose]();
  await authority.close();
});

it('a spare is 503 while the services are stopped for a switch of a database, and 200 before and after', async () => {
  await until200();
  const answers: Told[] = [];
  const watching = new AbortController();
  const watched = (async () => {
    while (!watching.signal.aborted) answers.push(await web.health());
  })();
  await pair.change();
  await pair.arrives();
  watching.abort();
  await watched;
  await until200();
  const states = answers.map(({ status }) => status).filter((status, n, all) => status !== all[n - 1]);
  expect(states.slice(0, 2)).toEqual([200, 503]);
  expect(states.filter((status) => status === 503)).toHaveLength(1);
  expect(
    new Set(answers.filter(({ status }) => status === 503).map(({ reason }) => reason.replace(/ since .*/, ''))),
  ).toEqual(new Set(['database pe-rbac is being switched']));
});

it('whose agent is killed within a switch is 503 until the next one has ended it, and then 200', async () => {
  await pair.change();
  while ((await web.health()).status === 200);
  await pair.b.stop('SIGKILL');
  expect(await web.health()).toMatchObject({ status: 503 });
  pair.b.start();
  await until200();
  expect(servicePid(pair.service)).toBeGreaterThan(0);
  expect(existsSync(join(pathsBelow(pair.b.root).web, 'switch.json'))).toBe(false);
});

it('is told from the active at once when the fact is edited, and is the active when it is promoted', async () => {
  expect(await web.health('?role=active')).toMatchObject({ status: 503, reason: 'this is the passive master' });
  await pair.a.stop('SIGKILL');
  pair.b.setFacts({ pe_failover_mode: 'active' });
  await pair.b.says(/\[SUCCESS\] Promoted/);
  while ((await web.health('?role=active')).status !== 200);
  pair.b.setFacts({ pe_failover_mode: 'passive' });
  const start = performance.now();
  while ((await web.health('?role=active')).status === 200);
  expect(performance.now() - start).toBeLessThan(2_000);
});

async function until200(): Promise<void> {
  while ((await web.health()).status !== 200);
}
