import type { WebAnswer, WebRequest } from '../system/http-server.ts';

/** What answers one path. Only reading: GET and HEAD are asked of it. */
export type Route = (query: URLSearchParams) => Promise<WebAnswer>;

/** What one listener answers; anything else is 404 or 405. */
export function answerBy(routes: Readonly<Record<string, Route>>): (request: WebRequest) => Promise<WebAnswer> {
  return async ({ method, path, query }) => {
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
    if (route === undefined) return plain(404, `Here is: ${Object.keys(routes).join(' ')}`);
    if (method !== 'GET' && method !== 'HEAD') return { ...plain(405, 'GET or HEAD'), headers: { allow: 'GET, HEAD' } };
    return await route(query);
  };
}

const plain = (status: number, line: string): WebAnswer => ({ status, type: 'text/plain', body: `${line}\n` });
