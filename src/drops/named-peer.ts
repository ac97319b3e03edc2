import { Failure } from '../errors.ts';
import { formatPairing, parsePairing, type KnownPeer } from '../rules/pairing.ts';
import type { Paths } from '../rules/paths.ts';
import { isKnownLine, type PeerState } from '../rules/rotation.ts';
import { readRole, type JudgedFact } from '../system/fact.ts';
import type { JobLog } from '../system/log.ts';
import { createState } from '../system/state.ts';
import { knownPeer, nameByAdmin } from './greeter.ts';

/** The other master: as an admin wrote it into a spare's fact, else as it introduced itself once. */
export async function peerOf(
  paths: Paths,
  { role }: Pick<JudgedFact, 'role'>,
  log: JobLog,
): Promise<KnownPeer | undefined> {
  const state = createState(paths.state);
  if (role.role !== 'passive' || role.key === undefined) return await knownPeer(state);
  const named = parsePairing(role.key);
  const known = await state.read<PeerState>('peer');
  if (known !== undefined && isKnownLine(known, formatPairing(named))) return await knownPeer(state);
  const isNew = await nameByAdmin(paths, named);
  if (isNew !== undefined) log.success(isNew);
  return named;
}

/** The active, on a spare. Throws `config` where its fact names none. */
export async function sourceOf(paths: Paths, log: JobLog): Promise<KnownPeer> {
  const source = await peerOf(paths, await readRole(paths.fact), log);
  if (source !== undefined) return source;
  const hint = 'Set pe_failover_key to the line that pe-failover install --active prints';
  throw new Failure('config', 'the fact names no active', { where: paths.fact, hint });
}
