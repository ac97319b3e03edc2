import { request } from 'node:https';
import type { ApiGroup } from '../stand-in/classifier-model.ts';

export interface ConsoleApi {
  groups(): Promise<ApiGroup[]>;
  /** Creates a group with this id, or replaces it. */
  put(group: ApiGroup): Promise<void>;
  edit(id: string, delta: Record<string, unknown>): Promise<void>;
  pin(id: string, node: string): Promise<void>;
  remove(id: string): Promise<void>;
}

export interface ConsoleAddress {
  readonly port: number;
  readonly certname: string;
  readonly token: string;
  /** PEM. */
  readonly ca: string;
}

/** What a person's browser does: the classifier's API with a token, on its own connection each time. */
export function createConsoleApi(address: ConsoleAddress): ConsoleApi {
  const ask = async (method: string, path: string, body?: unknown): Promise<string> => {
    const { status, text } = await send(address, method, `/classifier-api/v1${path}`, body);
    if (status < 200 || status > 299) throw new Error(`${method} ${path} at ${address.certname}: ${status} ${text}`);
    return text;
  };
  return {
    groups: async () => JSON.parse(await ask('GET', '/groups')) as ApiGroup[],
    put: async (group) => void (await ask('PUT', `/groups/${group.id}`, group)),
    edit: async (id, delta) => void (await ask('POST', `/groups/${id}`, delta)),
    pin: async (id, node) => void (await ask('POST', `/groups/${id}/pin`, { nodes: [node] })),
    remove: async (id) => void (await ask('DELETE', `/groups/${id}`)),
  };
}

function send(
  { port, certname, token, ca }: ConsoleAddress,
  method: string,
  path: string,
  body: unknown,
): Promise<{ status: number; text: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
  const content = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
  const length = content === undefined ? {} : { 'content-type': 'application/json', 'content-length': content.length };
  const asked = request({
    host: '127.0.0.1',
    port,
    path,
    method,
    ca,
    servername: certname,
    agent: false,
    timeout: 10_000,
    headers: { 'x-authentication': token, ...length },
  });
  asked.on('timeout', () => asked.destroy(new Error(`no answer of ${certname} within 10 s`)));
  asked.on('error', reject).on('response', (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    response.on('error', reject).on('end', () => resolve({ status: response.statusCode ?? 0, text }));
  });
  asked.end(content);
  return promise;
}
