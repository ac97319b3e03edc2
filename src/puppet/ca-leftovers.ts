import { certnameOf } from '../rules/ca-paths.ts';
import { parseInventoryLine } from '../rules/inventory.ts';
import { readCertificates } from '../system/certificates.ts';
import { readBytesIfThere, sha256File } from '../system/files.ts';
import { liveLists, type LiveCa } from './ca-live.ts';

/**
 * sha256 by path of what is live and nobody's: an apply placed it and was killed, and before the next drop the active had cleaned
 * it. The active issued it (`inventory`: its lines), revoked it, and has it no more. `unknown`: live paths that it never had here.
 */
export async function leftBehind(
  live: LiveCa,
  unknown: readonly string[],
  inventory: readonly string[],
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  if (unknown.length === 0) return found;
  const issued = new Set(inventory.map((line) => issueOf(parseInventoryLine(line))));
  const revoked = new Set((await liveLists(live)).flatMap((list) => [...list.revoked.keys()]));
  for (const path of unknown) {
    const serial = serialIn(await readBytesIfThere(live.path(path)), path);
    if (serial === undefined || !revoked.has(serial)) continue;
    if (issued.has(issueOf({ serial, name: certnameOf(path) }))) found.set(path, await sha256File(live.path(path)));
  }
  return found;
}

const issueOf = (one: { readonly serial: bigint; readonly name: string } | undefined): string =>
  `${one?.serial} ${one?.name}`;

function serialIn(pem: Buffer | undefined, path: string): bigint | undefined {
  try {
    return pem === undefined ? undefined : readCertificates(pem, path)[0]?.serial;
  } catch {
    return undefined; // no certificate
  }
}
