import type { Pairing } from '../rules/pairing.ts';
import { readIfThere, writeFileAtomic } from '../system/files.ts';

/**
 * Pins the host key of a peer that an admin's pairing line brought, under the name by which it is reached. A pin that is
 * there is never changed: only `install --renew-host-key` does that.
 */
export async function pinHostKey(path: string, name: string, peer: Pairing): Promise<void> {
  const known = (await readIfThere(path)) ?? '';
  if (known.split('\n').some((line) => line.startsWith(`${name} `))) return;
  await writeFileAtomic(path, `${known}${name} ${peer.hostKey}\n`, { mode: 0o600 });
}
