import { formatPairing, parsePairing } from '../rules/pairing.ts';
import type { Paths } from '../rules/paths.ts';
import { isOldLine, spokenRotation, type PeerState, type Rotation } from '../rules/rotation.ts';
import { toFailure } from '../errors.ts';
import { readRole } from '../system/fact.ts';
import { createState } from '../system/state.ts';

/** Sentences on keys that change, on either side (`rotation`: of this one); none where nothing is to be said. */
export async function reportKeys(paths: Paths, rotation: Rotation | undefined): Promise<string[]> {
  const peer = await createState(paths.state).read<PeerState>('peer');
  const peers =
    peer?.next === undefined
      ? []
      : [`${parsePairing(peer.line).certname} changes its keys: its next ones are let in, too`];
  const fact = await oldLineInFact(paths);
  return [
    ...(rotation === undefined ? [] : [spokenRotation(rotation)]),
    ...peers,
    ...(fact === undefined ? [] : [fact]),
  ];
}

/** Said where the fact shows a line that the other master replaced: it is understood, but an admin who copies it would not be. */
export async function oldLineInFact({ state, fact }: Paths): Promise<string | undefined> {
  const known = await createState(state).read<PeerState>('peer');
  if (known?.was === undefined) return undefined;
  const { role } = await readRole(fact);
  if (role.role !== 'passive' || role.key === undefined) return undefined;
  const named = parsed(role.key);
  if (named === undefined || !isOldLine(known, named)) return undefined;
  const { certname } = parsePairing(known.line);
  return `The fact still has a line of ${certname} from before it changed its keys. It counts as the new one; write pe_failover_key: ${known.line}`;
}

function parsed(line: string): string | undefined {
  try {
    return formatPairing(parsePairing(line));
  } catch (error) {
    if (toFailure(error).class === 'config') return undefined;
    throw error;
  }
}
