import { uptime } from 'node:os';
import { judgeHealth, type HealthQuestion } from '../rules/health.ts';
import type { WebAnswer } from '../system/http-server.ts';
import { readWebNotes } from '../system/web-notes.ts';
import type { AskPuppetserver } from './puppetserver.ts';
import type { Route } from './routes.ts';

/** `/health`: 200 where agents may be sent here, else 503, with the reason. `?role=active`: only where this is the active, surely. */
export function createHealth(notes: string, askPuppetserver: AskPuppetserver): Route {
  return async (query) => {
    const asked = questionOf(query);
    if (asked === undefined) return json(400, { reason: 'the one question is role=active' });
    const puppetserver = await askPuppetserver();
    const said = await readWebNotes(notes); // after the answer, which may take seconds: a switch may have begun
    const health = judgeHealth({ ...said, up: uptime(), puppetserver }, asked);
    return json(health.healthy ? 200 : 503, health);
  };
}

function questionOf(query: URLSearchParams): HealthQuestion | undefined {
  if (query.size === 0) return 'any';
  return query.size === 1 && query.get('role') === 'active' ? 'active' : undefined;
}

const json = (status: number, value: object): WebAnswer => ({
  status,
  type: 'application/json',
  body: `${JSON.stringify({ format: 1, ...value })}\n`,
});
