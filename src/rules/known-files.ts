import type { FileAudit } from './audit.ts';

export interface KnownFile {
  /** A file, or a directory with all below it. */
  readonly path: string;
  readonly kind: FileAudit['kind'];
}

const puppet = '/etc/puppetlabs/puppet';
const debian = '/etc/puppet';

/** What a master needs besides CA, node groups and databases, and what no job of ours carries unless it is listed. */
export const knownFiles: readonly KnownFile[] = [
  { kind: 'secrets', path: '/etc/puppetlabs/console-services/conf.d/secrets' },
  { kind: 'secrets', path: '/etc/puppetlabs/orchestration-services/conf.d/secrets' },
  { kind: 'secrets', path: '/opt/puppetlabs/server/data/console-services/certs/ad_ca_chain.pem' },
  { kind: 'secrets', path: '/etc/puppetlabs/license.key' },
  ...[puppet, debian].map((base) => ({ kind: 'secrets', path: `${base}/eyaml` }) as const),
  { kind: 'secrets', path: '/etc/puppetlabs/eyaml' },
  { kind: 'secrets', path: '/etc/eyaml' },
  ...[puppet, debian].map((base) => ({ kind: 'secrets', path: `${base}/keys` }) as const),
  ...[puppet, debian].map((base) => ({ kind: 'code', path: `${base}/hiera.yaml` }) as const),
  { kind: 'code', path: '/etc/puppetlabs/code/hiera.yaml' },
  ...[puppet, debian].map((base) => ({ kind: 'autosign', path: `${base}/autosign.conf` }) as const),
  { kind: 'deployment', path: '/etc/puppetlabs/r10k/r10k.yaml' },
  { kind: 'deployment', path: '/etc/puppetlabs/puppetserver/ssh' },
  { kind: 'deployment', path: '/etc/puppetlabs/puppetserver/conf.d/code-manager.conf' },
  { kind: 'deployment', path: '/opt/puppetlabs/server/data/code-manager/r10k.yaml' },
];

/** Each host has its own: no difference. */
export const isHostFile = (path: string): boolean => /\/known_hosts(\.old)?$|~$|\.sw[op]$/.test(path);

/** Keys of eyaml that a hiera.yaml names, wherever they lie. */
export const eyamlKeysIn = (hiera: string): string[] =>
  [...hiera.matchAll(/\bpkcs7_(?:private|public)_key:\s*["']?(\/[^\s"'%{}]+)/g)].map(([, path = '']) => path);
