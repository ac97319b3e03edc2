import { createHash } from 'node:crypto';

/** What r10k and Code Manager write down in an environment. */
export interface Deployment {
  readonly commit: string;
  readonly ok?: boolean;
  /** Hash of the modules with their versions. */
  readonly modules: string;
}

/** Undefined where the text is none of it. */
export function readDeployment(text: string): Deployment | undefined {
  const record = recordIn(text);
  const commit = record?.['signature'];
  if (record === undefined || typeof commit !== 'string' || !/^[0-9a-f]{7,64}$/.test(commit)) return undefined;
  const ok = record['deploy_success'];
  const modules = Array.isArray(record['module_deploys']) ? (record['module_deploys'] as unknown[]) : [];
  const puppetfile = record['puppetfile_checksum'];
  const lines = [typeof puppetfile === 'string' ? puppetfile : '', ...modules.map(lineOf).sort()];
  return {
    commit,
    ...(typeof ok === 'boolean' ? { ok } : {}),
    modules: createHash('sha256').update(lines.join('\n')).digest('hex'),
  };
}

function recordIn(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function lineOf(module: unknown): string {
  const { name, version, sha } = (typeof module === 'object' && module !== null ? module : {}) as Record<
    string,
    unknown
  >;
  return [name, version, sha].map((one) => (typeof one === 'string' ? one : '')).join(' ');
}
