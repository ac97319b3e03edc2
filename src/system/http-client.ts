import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import {
  Agent as HttpAgent,
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest, type RequestOptions } from 'node:https';
import { Failure } from '../errors.ts';
import { HttpError } from './http-error.ts';

/** Each of certificate, key and CA: a path that is read anew for each request (files are renewed), or PEM text. */
export interface HttpIdentity {
  readonly certificate?: string;
  readonly key?: string;
  /** Absent: the authorities that this machine believes. */
  readonly ca?: string;
  /** A file of one line, sent as X-Authentication. */
  readonly tokenFile?: string;
  /** The name that the server's certificate must have, where it is not the URL's. */
  readonly servername?: string;
  /** What to type when the server says 401 or 403. */
  readonly whenDenied?: string;
  /** http:// is no mistake. */
  readonly mayBePlain?: true;
  /** Goes by HTTPS_PROXY, HTTP_PROXY and NO_PROXY of these; absent: never by a proxy. */
  readonly proxies?: Readonly<Record<string, string | undefined>>;
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** A redirection is an answer like any other: it is not followed. */
  readonly url: string;
  /** JSON text. */
  readonly body?: string;
  readonly signal: AbortSignal;
  /** From the start to the last byte, default 60 s. */
  readonly timeoutMs?: number;
  /** Until TLS is agreed, default 10 s. */
  readonly connectTimeoutMs?: number;
  /** Of the answer, default 64 MB. */
  readonly limitBytes?: number;
  /** Status codes that are an answer; default: 200 to 299. */
  readonly accept?: readonly number[];
}

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
}

/** One request, one connection. Throws a Failure (table in http-error.ts) or AbortError. */
export type HttpClient = (request: HttpRequest) => Promise<HttpAnswer>;

export function createHttpClient(identity: HttpIdentity): HttpClient {
  return async (request) => {
    request.signal.throwIfAborted();
    const credentials = await readIdentity(identity);
    try {
      const answer = await send(request, credentials, identity);
      if (isAccepted(answer.status, request.accept)) return answer;
      throw HttpError.fromAnswer(request.url, answer);
    } catch (error) {
      request.signal.throwIfAborted();
      throw HttpError.from(error, request.url).toFailure(`${request.method} failed`, identity.whenDenied);
    }
  };
}

const isAccepted = (status: number, accept: readonly number[] | undefined): boolean =>
  accept === undefined ? status >= 200 && status < 300 : accept.includes(status);

interface Credentials {
  readonly cert?: string;
  readonly key?: string;
  readonly ca?: string;
  readonly token?: string;
}

async function readIdentity(identity: HttpIdentity): Promise<Credentials> {
  const { certificate, key, tokenFile } = identity;
  const ca = identity.ca ?? systemAuthorities.find((path) => existsSync(path));
  return {
    ...(ca === undefined ? {} : { ca: await readPem(ca) }),
    ...(certificate === undefined ? {} : { cert: await readPem(certificate) }),
    ...(key === undefined ? {} : { key: await readPem(key) }),
    ...(tokenFile === undefined ? {} : { token: (await readText(tokenFile)).trim() }),
  };
}

/** Of Debian, Red Hat and SUSE; elsewhere those of Node.js. */
const systemAuthorities = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
];

const readPem = async (pathOrPem: string): Promise<string> =>
  pathOrPem.startsWith('-----BEGIN') ? pathOrPem : await readText(pathOrPem);

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Failure('config', 'a file for HTTPS can not be read', {
      where: path,
      why,
      hint: `Type: ls -l ${path}`,
      cause,
    });
  }
}

function send(request: HttpRequest, credentials: Credentials, identity: HttpIdentity): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
  const deadline = new AbortController();
  const started = begin(request, credentials, identity, AbortSignal.any([request.signal, deadline.signal]));
  const giveUp = (kind: string, what: string, ms: number): NodeJS.Timeout =>
    setTimeout(() => {
      reject(new HttpError({ url: request.url, kind, msg: `${what} within ${ms / 1000} s` }));
      deadline.abort();
    }, ms);
  const connecting = giveUp('connect-timeout', 'no connection', request.connectTimeoutMs ?? 10_000);
  const whole = giveUp('timeout', 'no whole answer', request.timeoutMs ?? 60_000);
  started.once('socket', (socket) => socket.once('secureConnect', () => clearTimeout(connecting)));
  started.once('response', (response) => {
    clearTimeout(connecting); // without TLS, or by a proxy
    collect(response, request).then(resolve, reject);
  });
  started.on('error', reject);
  if (request.body === undefined) started.end();
  else started.end(request.body);
  return promise.finally(() => {
    clearTimeout(connecting);
    clearTimeout(whole);
    started.destroy();
  });
}

function begin(
  request: HttpRequest,
  { token, ...tls }: Credentials,
  { servername, proxies, mayBePlain }: HttpIdentity,
  signal: AbortSignal,
): ClientRequest {
  const url = new URL(request.url);
  const { body } = request;
  const headers: OutgoingHttpHeaders = {
    accept: 'application/json',
    // Jetty refuses whoever asks for another host than the one that TLS was agreed for.
    ...(servername === undefined ? {} : { host: url.port === '' ? servername : `${servername}:${url.port}` }),
    ...(token === undefined ? {} : { 'x-authentication': token }),
    // A length, never chunks: PE hangs on chunked requests.
    ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
    ...(body === undefined && request.method !== 'GET' ? { 'content-length': 0 } : {}),
  };
  const options: RequestOptions = {
    method: request.method,
    headers,
    signal,
    agent: proxies === undefined ? false : agentBy(url, proxies),
    ...tls,
    ...(servername === undefined ? {} : { servername }),
  };
  return mayBePlain === true && isPlain(url) ? httpRequest(url, options) : httpsRequest(url, options);
}

const isPlain = (url: URL): boolean => url.protocol === 'http:';

const agentBy = (url: URL, proxyEnv: NodeJS.ProcessEnv): HttpAgent =>
  isPlain(url) ? new HttpAgent({ proxyEnv }) : new HttpsAgent({ proxyEnv });

async function collect(response: IncomingMessage, request: HttpRequest): Promise<HttpAnswer> {
  const limit = request.limitBytes ?? 64 * 1024 * 1024;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit)
      throw new HttpError({ url: request.url, kind: 'too-large', msg: `the answer is longer than ${limit} bytes` });
    chunks.push(chunk);
  }
  return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') };
}
