/** Which files of a CA directory travel, and how each is treated. */
export type CaPathKind = 'certificate' | 'crl' | 'inventory' | 'serial' | 'ca' | 'infra' | 'key';

const kinds: Readonly<Record<string, CaPathKind>> = {
  'ca_crt.pem': 'ca',
  'ca_pub.pem': 'ca',
  'ca_crl.pem': 'crl',
  'inventory.txt': 'inventory',
  serial: 'serial',
  'infra_crl.pem': 'infra',
  'infra_inventory.txt': 'infra',
  infra_serials: 'infra',
  'ca_key.pem': 'key',
  'root_key.pem': 'key',
};

/** Files at the top, in the order of capture: the last two cover what was captured before. */
export const captureOrder: readonly CaPathKind[] = ['ca', 'certificate', 'crl', 'infra', 'inventory', 'serial'];

/** Names at the top of a CA directory that travel with every drop. Keys travel at adoption only. */
export const topNames: readonly string[] = Object.keys(kinds).filter((name) => kinds[name] !== 'key');
export const keyNames: readonly string[] = Object.keys(kinds).filter((name) => kinds[name] === 'key');

/** What a path relative to the CA directory is, or undefined for what is none of ours (requests, temporary files). */
export function kindOf(path: string): CaPathKind | undefined {
  if (isTemporary(path)) return undefined;
  const known = Object.hasOwn(kinds, path) ? kinds[path] : undefined;
  if (known !== undefined) return known;
  return /^signed\/[^/]+\.pem$/.test(path) ? 'certificate' : undefined;
}

/** Names that puppetserver writes to before it renames (`NAME.pem123tmp`, `serial123tmp`), and our own. */
export const isTemporary = (path: string): boolean =>
  /\d+tmp$/.test(path) || /(^|\/)\.pe-failover-/.test(path) || path.endsWith('~');

/** The certname of `signed/NAME.pem`. */
export const certnameOf = (path: string): string => path.replace(/^signed\//, '').replace(/\.pem$/, '');

/** Left out of the digest that tells whether both sides agree: they differ on purpose. */
export const isOutsideDigest = (path: string): boolean => ['serial', 'infra'].includes(kindOf(path) ?? '');
