import { lacking } from '../rules/crl.ts';
import { expiredSerials } from '../rules/inventory.ts';
import type { AcceptedSet } from '../system/accepted-set.ts';
import type { Crl } from '../system/certificates.ts';
import type { ContentStore } from '../system/content-store.ts';
import { readBytesIfThere } from '../system/files.ts';
import type { HeldCa, HeldStore } from './ca-held.ts';
import { liveLists, type LiveCa } from './ca-live.ts';

export interface StandingSides {
  readonly live: LiveCa;
  readonly set: AcceptedSet;
  readonly content: ContentStore;
  readonly held: HeldStore;
  readonly holds: { closeOthers(stream: string, standing: ReadonlySet<string>): Promise<void> };
}

/** Forgets what was held and is done, or came to nothing: the active or somebody here mended it. */
export async function closeWhatStandsNoMore(sides: StandingSides, stream: string, now: Date): Promise<void> {
  const held = await sides.held.read();
  const standing: HeldCa[] = [];
  for (const one of held) if (await stands(sides, one, now)) standing.push(one);
  await sides.holds.closeOthers(stream, new Set(standing.map(({ id }) => id)));
  if (standing.length < held.length) await sides.held.write(standing);
}

async function stands(sides: StandingSides, held: HeldCa, now: Date): Promise<boolean> {
  const { live, set } = sides;
  if (held.rule === 'crl-unmerged') {
    const expired = expiredSerials(await live.text('inventory.txt'), now);
    return missing(await acceptedLists(sides), await liveLists(live), expired).length > 0;
  }
  if (held.serials.length > 0) {
    const ownHere = missing(await liveLists(live), await acceptedLists(sides), () => false);
    return held.serials.some((serial) => ownHere.includes(BigInt(`0x${serial}`)));
  }
  const paths = [...held.files, ...held.removals].map(({ path }) => path);
  const hashes = await live.hashes(paths, () => undefined);
  return (
    held.files.some(({ path, sha256 }) => set.get(path)?.sha256 === sha256 && hashes.get(path) !== sha256) ||
    held.removals.some(({ path, sha256 }) => set.get(path) === undefined && hashes.get(path) === sha256)
  );
}

async function acceptedLists({ set, content, live }: StandingSides): Promise<Crl[]> {
  const entry = set.get('ca_crl.pem');
  const pem = entry === undefined ? undefined : await readBytesIfThere(content.path(entry.sha256));
  try {
    return pem === undefined ? [] : live.readCrls(pem, 'ca_crl.pem');
  } catch {
    return [];
  }
}

const missing = (from: readonly Crl[], to: readonly Crl[], expired: (serial: bigint) => boolean): bigint[] =>
  from.flatMap((crl) =>
    lacking(
      crl,
      to.find(({ issuer }) => issuer === crl.issuer),
      expired,
    ),
  );
