import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Failure } from '../../src/errors.ts';
import { createHttpClient, type HttpIdentity, type HttpRequest } from '../../src/system/http-client.ts';
import { createWorld, signal, type ClassifierWorld } from '../helpers/classifier-pair.ts';
import { createTlsAuthority } from '../helpers/tls-authority.ts';
import type { ClassifierStandIn, Fault } from '../stand-in/classifier.ts';

let world: ClassifierWorld;
let standIn: ClassifierStandIn;
beforeAll(async () => {
  world = await createWorld();
  standIn = await world.start();
});
afterAll(() => world.close());
afterEach(() => standIn.clearFaults());

const get = (path: string, more: Partial<HttpRequest> = {}, identity: HttpIdentity = world.identity) =>
  createHttpClient(identity)({ method: 'GET', url: `${standIn.origin}${path}`, signal, ...more });
const groups = (more: Partial<HttpRequest> = {}, identity?: HttpIdentity) =>
  get('/classifier-api/v1/groups', more, identity);
const failed = async (request: Promise<unknown>): Promise<Failure> => {
  const error: unknown = await request.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error as Failure;
};

test('sends a body with its length, never in chunks, and closes the connection', async () => {
  const body = JSON.stringify(standIn.tree.list());
  standIn.seen.length = 0;
  const url = `${standIn.url}/import-hierarchy`;
  const answer = await world.http({ method: 'POST', url, body, signal });
  expect(answer.status).toBe(204);
  expect(standIn.seen[0]?.headers).toMatchObject({
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  });
  expect(standIn.seen[0]?.headers).not.toHaveProperty('transfer-encoding');
});

describe('a Failure says what happens next', () => {
  test.each<[string, Fault, Failure['class'], RegExp]>([
    [
      '500 with an envelope is tried again',
      { kind: 'application-error' },
      'dependency',
      /something broke.*500, application-error/,
    ],
    ['503 is tried again', { kind: 'starting' }, 'dependency', /status 503/],
    [
      '401 is for the admin, with the allowlist',
      { kind: 'unauthenticated' },
      'config',
      /requires authentication.*allowlist/,
    ],
    ['a body cut off is tried again', { kind: 'half-closed' }, 'unreachable', /aborted|ECONNRESET/],
    ['an answer without end is cut', { kind: 'big', ms: 2_000_000 }, 'dependency', /longer than 1000000 bytes/],
    ['silence is given up at the deadline', { kind: 'hang' }, 'dependency', /no whole answer within 0.4 s/],
  ])('%s', async (_, fault, errorClass, message) => {
    standIn.fault(fault);
    const failure = await failed(groups({ timeoutMs: 400, limitBytes: 1_000_000 }));
    expect(failure).toMatchObject({ name: 'Failure', class: errorClass });
    expect(failure.message).toMatch(message);
  });
  test('an unknown path is for the admin, data that is refused is not tried again', async () => {
    expect(await failed(get('/classifier-api/v1/nothing'))).toMatchObject({ class: 'config' });
    const refused = await failed(
      world.http({ method: 'POST', url: `${standIn.url}/import-hierarchy`, body: '[{"id":1}]', signal }),
    );
    expect(refused).toMatchObject({ class: 'bad-data' });
    expect(refused.message).toMatch(/does not match the schema.*schema-violation/);
  });
  test('a server that accepts and says nothing is given up before TLS is agreed', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const url = `https://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
    const failure = await failed(world.http({ method: 'GET', url, signal, connectTimeoutMs: 200 }));
    silent.close();
    expect(failure).toMatchObject({ class: 'unreachable', why: 'no connection within 0.2 s' });
  });
  test('plain http is a mistake in the configuration', async () => {
    const url = standIn.url.replace('https', 'http');
    expect(await failed(world.http({ method: 'GET', url, signal }))).toMatchObject({ class: 'config' });
  });
  test('a refused connection is unreachable, naming the URL', async () => {
    const reopen = await standIn.refuse();
    const failure = await failed(groups());
    await reopen();
    expect(failure).toMatchObject({ class: 'unreachable', where: `${standIn.url}/groups` });
    expect((await groups()).status).toBe(200);
  });
});

describe('identity', () => {
  test('a certificate outside the allowlist is refused, and so is none', async () => {
    const stranger = await world.authority.issue('stranger.example.com');
    const identity = { certificate: stranger.certPath, key: stranger.keyPath, ca: world.authority.caPath };
    expect(await failed(groups({}, identity))).toMatchObject({ class: 'config' });
    expect(await failed(groups({}, { ca: world.authority.caPath }))).toMatchObject({ class: 'config' });
  });
  test('a token alone is enough, a bad one is refused in spite of the certificate and never shown', async () => {
    const tokenFile = join(world.authority.directory, 'token');
    await writeFile(tokenFile, 'good-token\n');
    expect((await groups({}, { ca: world.authority.ca, tokenFile })).status).toBe(200);
    await writeFile(tokenFile, 'bad-token\n');
    const hint = 'Type: puppet access login';
    const failure = await failed(groups({}, { ...world.identity, tokenFile, whenDenied: hint }));
    expect(failure).toMatchObject({ class: 'config', hint });
    expect(JSON.stringify(failure) + failure.message).not.toContain('bad-token');
  });
  test('files are read anew for each request, and a missing one is named', async () => {
    const copy = join(world.authority.directory, 'renewed.pem');
    const identity = { ...world.identity, certificate: copy };
    await writeFile(copy, world.client.cert);
    expect((await groups({}, identity)).status).toBe(200);
    await rm(copy);
    expect(await failed(groups({}, identity))).toMatchObject({
      class: 'config',
      where: copy,
      hint: `Type: ls -l ${copy}`,
    });
  });
  test('a server of another CA is refused', async () => {
    const other = await createTlsAuthority('another');
    const failure = await failed(groups({}, { ...world.identity, ca: other.caPath }));
    await other.close();
    expect(failure).toMatchObject({ class: 'config' });
    expect(failure.message).toMatch(/certificate/);
  });
  test('a server of another name is refused, the expected name can be set', async () => {
    expect(await failed(groups({}, { ...world.identity, servername: 'mastera.example.com' }))).toMatchObject({
      class: 'config',
    });
    expect((await groups({}, { ...world.identity, servername: 'masterb.example.com' })).status).toBe(200);
  });
});

test('an abort ends a request at once, as an abort', async () => {
  standIn.fault({ kind: 'hang' });
  const controller = new AbortController();
  const request = failed(groups({ signal: controller.signal }));
  setTimeout(() => controller.abort(), 50);
  expect(await request).toMatchObject({ name: 'AbortError' });
});
