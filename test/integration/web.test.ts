import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { uptime } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTlsAuthority, type TlsAuthority } from '../helpers/tls-authority.ts';
import { makeNotes, spawnWeb, startWeb, type Notes, type Web } from '../helpers/web.ts';
import { startPuppetserver, type Puppetserver } from '../stand-in/puppetserver.ts';

const certname = 'mastera.test';
let authority: TlsAuthority;
let puppetserver: Puppetserver;
let notes: Notes;
let web: Web;
const places = () => ({ notes: notes.directory, puppetserver: puppetserver.port, certname, ca: authority.caPath });

beforeAll(async () => {
  authority = await createTlsAuthority();
  puppetserver = await startPuppetserver(authority, certname);
  notes = makeNotes();
  web = await startWeb(places());
});
beforeEach(async () => {
  puppetserver.state = 'running';
  await puppetserver.stop();
  await puppetserver.start();
  rmSync(join(notes.directory, 'switch.json'), { force: true });
  notes.serving({});
  await untilStatus(200);
});
afterAll(async () => {
  await web[Symbol.asyncDispose]();
  await puppetserver[Symbol.asyncDispose]();
  notes[Symbol.dispose]();
  await authority.close();
});

/** puppetserver's last answer counts for a second. */
async function untilStatus(status: number): Promise<string> {
  for (;;) {
    const told = await web.health();
    if (told.status === status) return told.reason;
  }
}

describe('/health', () => {
  it('is 200 on a spare and on the active; with role=active on the active alone', async () => {
    expect(await web.health()).toMatchObject({ status: 200, role: 'active' });
    expect(await web.health('?role=active')).toMatchObject({ status: 200 });
    notes.serving({ role: 'passive' });
    expect(await web.health()).toMatchObject({ status: 200, role: 'passive' });
    expect(await web.health('?role=active')).toMatchObject({ status: 503, reason: 'this is the passive master' });
  });

  it.each(['starting', 'silent'] as const)(
    'is 503 where puppetserver is %s, and 200 when it serves again',
    async (state) => {
      puppetserver.state = state;
      expect(await untilStatus(503)).toContain('puppetserver does not serve');
      puppetserver.state = 'running';
      await untilStatus(200);
    },
  );

  it('is 503 where puppetserver does not run, and 200 where it has no status API', async () => {
    await puppetserver.stop();
    expect(await untilStatus(503)).toContain('puppetserver does not serve');
    puppetserver.state = 'without status';
    await puppetserver.start();
    await untilStatus(200);
  });

  it('knows puppetserver by the copy of the CA, where Puppet keeps its own from others', async () => {
    await using closed = await startWeb({ ...places(), ca: '/nonexistent/ca.pem' });
    expect(await closed.health()).toMatchObject({ status: 503, reason: expect.stringContaining('ca.pem') as string });
    const copy = join(notes.directory, 'ca.pem');
    writeFileSync(copy, authority.ca);
    try {
      while ((await closed.health()).status !== 200);
    } finally {
      rmSync(copy);
    }
  });

  it('is 503 where another than this master answers in place of puppetserver', async () => {
    await using stranger = await startPuppetserver(authority, 'stranger.test');
    await using other = await startWeb({ ...places(), puppetserver: stranger.port });
    expect(await other.health()).toMatchObject({
      status: 503,
      reason: expect.stringContaining('stranger.test') as string,
    });
  });

  it('is 503 as soon as a switch says so, and 200 when it is over or too long ago', async () => {
    notes.switching({});
    expect(await web.health()).toMatchObject({ status: 503, reason: expect.stringContaining('pe-rbac') as string });
    notes.switching({ up: uptime() - 31 });
    expect(await web.health()).toMatchObject({ status: 200 });
  });

  it('goes by puppetserver alone where nothing that counts was said: torn, old, or nothing', async () => {
    for (const text of ['{"format":1,"ro', '[]', '{"format":2}', '']) {
      writeFileSync(join(notes.directory, 'serving.json'), text);
      expect(await web.health()).toMatchObject({ status: 200, role: 'unknown' });
      expect(await web.health('?role=active')).toMatchObject({ status: 503 });
    }
    rmSync(join(notes.directory, 'serving.json'));
    expect(await web.health()).toMatchObject({ status: 200, role: 'unknown' });
  });

  it('asks puppetserver once a second, however many ask', async () => {
    const [before, start] = [puppetserver.asked(), performance.now()];
    await Promise.all(Array.from({ length: 200 }, () => web.health()));
    const seconds = (performance.now() - start) / 1000;
    expect(puppetserver.asked() - before).toBeLessThanOrEqual(Math.ceil(seconds) + 1);
  });
});

describe('what is answered besides', () => {
  const status = async (path: string, method = 'GET'): Promise<number> =>
    (await fetch(`http://127.0.0.1:${web.port}${path}`, { method })).status;

  it('is HEAD without a body, 404, 405 and 400, and nothing else', async () => {
    const head = await fetch(`http://127.0.0.1:${web.port}/health`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    expect([await status('/'), await status('/metrics'), await status('/health/')]).toEqual([404, 404, 404]);
    expect([await status('/toString'), await status('/__proto__')]).toEqual([404, 404]);
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) expect(await status('/health', method)).toBe(405);
    for (const query of ['?role=passive', '?role=active&x=1', '?x', '?role=active&role=active'])
      expect(await status(`/health${query}`)).toBe(400);
  });
});

describe('callers who mean no good', () => {
  const open = async (count: number, said: string): Promise<Socket[]> => {
    const sockets = Array.from({ length: count }, () => connect(web.port, '127.0.0.1'));
    for (const socket of sockets) socket.on('error', () => undefined).resume();
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    if (said !== '') for (const socket of sockets) socket.write(said);
    return sockets;
  };

  it.each([
    ['say nothing', ''],
    ['say half a request', 'GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: '],
  ])('and %s keep nobody out, 2,000 of them, and are sent away', async (_, said) => {
    const sockets = await open(2_000, said);
    const start = performance.now();
    for (let n = 0; n < 10; n += 1) expect(await web.health()).toMatchObject({ status: 200 });
    expect(performance.now() - start).toBeLessThan(5_000);
    await Promise.all(sockets.map(async (socket) => socket.closed || (await once(socket, 'close'))));
  });

  it('and send headers without end, or bodies, get a refusal or the answer', async () => {
    const [long] = await open(1, `GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(100_000)}`);
    const answer = await new Promise<string>((resolve) => long?.once('data', (data) => resolve(String(data))));
    expect(answer).toContain('431');
    const posted = await fetch(`http://127.0.0.1:${web.port}/health`, { method: 'POST', body: 'x'.repeat(1e6) }).then(
      ({ status }) => status,
      () => 'ended',
    );
    expect(['ended', 405]).toContain(posted);
    expect(await web.health()).toMatchObject({ status: 200 });
  });
});

describe('the process', () => {
  it('says once that its port is taken, with what to type, and listens when it is free', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as { port: number };
    await using waiting = await spawnWeb({ ...places(), port });
    await waiting.says(/web\.sh ---> \[FAILURE\] cannot listen there.*ss -ltnp/);
    holder.close();
    await waiting.says(/\[SUCCESS\] Load balancers are answered/);
    expect(waiting.log.join('').match(/FAILURE/g)).toHaveLength(1);
    expect(await waiting.health()).toMatchObject({ status: 200 });
  });

  it('ends at a signal, also with connections open', async () => {
    await using other = await startWeb(places());
    const socket = connect(other.port, '127.0.0.1').on('error', () => undefined);
    await once(socket, 'connect');
    expect(await other.stop()).toBe(0);
  });
});
