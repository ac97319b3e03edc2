import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createAgentPair, filesOnly, startBoth, type AgentPair } from '../helpers/agents.ts';
import { startBalancer, type Balancer } from '../helpers/haproxy.ts';
import { pathsBelow } from '../helpers/pair.ts';
import { createTlsAuthority, type TlsAuthority } from '../helpers/tls-authority.ts';
import { startWeb, writeSwitching, type Web } from '../helpers/web.ts';
import { startPuppetserver, type Puppetserver } from '../stand-in/puppetserver.ts';

// A real HAProxy, with the configuration that docs/operate.md shows, before two agents, their web processes, and what stands
// for their puppetservers.

interface Master {
  readonly agent: AgentPair['a'];
  readonly puppetserver: Puppetserver;
  web: Web;
}
let authority: TlsAuthority;
let pair: AgentPair;
let masters: { readonly a: Master; readonly b: Master };
let balancer: Balancer;

const webOf = ({ agent, puppetserver }: Omit<Master, 'web'>, port?: number): Promise<Web> =>
  startWeb({
    notes: pathsBelow(agent.root).web,
    puppetserver: puppetserver.port,
    certname: agent.certname,
    ca: '/nonexistent', // it goes by the copy that the agent makes
    ...(port === undefined ? {} : { port }),
  });

async function masterOf(agent: AgentPair['a']): Promise<Master> {
  const puppetserver = await startPuppetserver(authority, agent.certname);
  return { agent, puppetserver, web: await webOf({ agent, puppetserver }) };
}

beforeAll(async () => {
  [authority, pair] = [await createTlsAuthority(), await createAgentPair(filesOnly)];
  mkdirSync(join(authority.directory, 'certs'));
  writeFileSync(join(authority.directory, 'certs/ca.pem'), authority.ca);
  for (const { root } of [pair.a, pair.b]) {
    const path = pathsBelow(root).config;
    const own = `paths: {ssldir: ${authority.directory}, `;
    writeFileSync(path, readFileSync(path, 'utf8').replace('paths: {', own));
  }
  await startBoth(pair);
  masters = { a: await masterOf(pair.a), b: await masterOf(pair.b) };
  const behind = ({ puppetserver, web }: Master) => ({
    puppetserver: `127.0.0.1:${puppetserver.port}`,
    health: web.port,
  });
  balancer = await startBalancer({ mastera: behind(masters.a), masterb: behind(masters.b) });
});
afterAll(async () => {
  await balancer[Symbol.asyncDispose]();
  for (const { web, puppetserver } of Object.values(masters)) {
    await web[Symbol.asyncDispose]();
    await puppetserver[Symbol.asyncDispose]();
  }
  await pair[Symbol.asyncDispose]();
  await authority.close();
});

/** As an agent asks, who knows the shared name alone; gives who answered. */
function catalog(): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const target = { host: '127.0.0.1', port: balancer.port, path: '/puppet/v3/catalog/x', agent: false as const };
  const asked = request({ ...target, ca: authority.ca, servername: 'puppet.test', timeout: 30_000 }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (part: string) => (text += part));
    response.on('end', () => resolve(text));
  });
  asked.on('error', reject).on('timeout', () => asked.destroy(new Error('no answer within 30 s')));
  asked.end();
  return promise;
}

/** One after the other, each on a connection of its own, until that master answers. Throws what one of them met. */
async function requestsUntil(answeredBy: string): Promise<number> {
  for (let count = 1; ; count += 1) if ((await catalog()) === answeredBy) return count;
}

it('is the active that agents are sent to while it can serve, though the spare can as well', async () => {
  await requestsUntil('mastera.test');
  expect(await masters.b.web.health()).toMatchObject({ status: 200, role: 'passive' });
  for (let n = 0; n < 20; n += 1) expect(await catalog()).toBe('mastera.test');
});

it('is no reason to leave the active that its agent is dead', async () => {
  await pair.a.stop('SIGKILL');
  expect(await masters.a.web.health()).toMatchObject({ status: 200 });
  for (let n = 0; n < 20; n += 1) expect(await catalog()).toBe('mastera.test');
  pair.a.start();
  await pair.a.says(/runs$/);
});

it('brings requests to the spare when the active dies, none is lost, nobody is promoted; and back when it lives', async () => {
  const { a, b } = masters;
  await requestsUntil('mastera.test');
  const port = a.web.port;
  await Promise.all([pair.a.stop('SIGKILL'), a.web.stop('SIGKILL'), a.puppetserver.stop()]);
  const start = performance.now();
  await requestsUntil('masterb.test');
  expect(performance.now() - start).toBeLessThan(20_000);
  for (let n = 0; n < 20; n += 1) expect(await catalog()).toBe('masterb.test');
  expect(await b.web.health()).toMatchObject({ status: 200, role: 'passive' });
  await a.puppetserver.start();
  a.web = await webOf(a, port);
  pair.a.start();
  await requestsUntil('mastera.test');
});

it('sends agents to the spare while a database is switched on the other, and to whoever answers where both cannot serve', async () => {
  const { a, b } = masters;
  await requestsUntil('mastera.test');
  const [onA, onB] = [switchingOn(pathsBelow(pair.a.root).web), switchingOn(pathsBelow(pair.b.root).web)];
  try {
    onA.begin();
    await requestsUntil('masterb.test');
    onB.begin();
    expect(await b.web.health()).toMatchObject({ status: 503 });
    await requestsUntil('mastera.test'); // the last resort
    expect(await a.web.health()).toMatchObject({ status: 503 });
  } finally {
    onA.end();
    onB.end();
  }
});

/** What a switch says, repeated as it does. */
function switchingOn(directory: string): { begin(): void; end(): void } {
  let repeating: NodeJS.Timeout | undefined;
  const say = (): void => writeSwitching(directory);
  return {
    begin: () => {
      say();
      repeating = setInterval(say, 1_000);
    },
    end: () => {
      clearInterval(repeating);
      rmSync(join(directory, 'switch.json'), { force: true });
    },
  };
}
