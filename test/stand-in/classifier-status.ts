import { isRecord } from './classifier-model.ts';
import type { Reply } from './classifier-routes.ts';

export type ServiceState = 'running' | 'starting' | 'stopping' | 'error' | 'unknown';

export interface Health {
  readonly state: ServiceState;
  /** False when the database behind the console services does not answer. */
  readonly databaseUp: boolean;
}

const services = ['activity-service', 'classifier-service', 'rbac-service', 'status-service'];
const worstFirst: readonly ServiceState[] = ['error', 'unknown', 'stopping', 'starting', 'running'];

/** `/status/v1/...`: needs no certificate and no token. */
export function statusReply(path: string, query: URLSearchParams, health: Health): Reply {
  const level = query.get('level') ?? 'info';
  if (!['critical', 'info', 'debug'].includes(level))
    return { status: 400, json: { kind: 'request-data-invalid', msg: `Invalid level: ${level}` } };
  const [, kind, name] = /^\/status\/v1\/(services|simple)(?:\/([^/]+))?$/.exec(path) ?? [];
  if (kind === undefined) return { status: 404, json: { kind: 'not-found', msg: 'Not found' } };
  const all = Object.fromEntries(services.map((one) => [one, statusOf(one, level, health)]));
  if (name !== undefined && all[name] === undefined) {
    const msg = `No status information found for service ${name}`;
    return kind === 'simple'
      ? { status: 404, text: `not found: ${name}` }
      : { status: 404, json: { kind: 'service-not-found', msg } };
  }
  const states = (name === undefined ? Object.values(all) : [all[name]]).map((one) => one?.state);
  const state = worstFirst.find((one) => states.includes(one)) ?? 'unknown';
  const status = state === 'running' ? 200 : 503;
  if (kind === 'simple') return { status, text: state };
  return { status, json: name === undefined ? all : { ...all[name], service_name: name } };
}

function statusOf(name: string, level: string, health: Health): { state: ServiceState } & Record<string, unknown> {
  const usesDatabase = name !== 'status-service';
  const up = health.databaseUp || !usesDatabase;
  const state = name === 'status-service' ? 'running' : !up && health.state === 'running' ? 'error' : health.state;
  const pool = up ? { state: 'ready' } : { state: 'error', messages: ['The database does not answer.'] };
  const details = {
    'db_up?': up,
    db_pool: pool,
    replication: { mode: 'none', status: 'none' },
  };
  return {
    service_version: '1.0.0',
    service_status_version: 1,
    detail_level: level,
    state,
    status: level === 'critical' || !usesDatabase || !isRecord(details) ? {} : details,
    active_alerts: up ? [] : [{ severity: 'critical', message: `The database of ${name} does not answer.` }],
  };
}
