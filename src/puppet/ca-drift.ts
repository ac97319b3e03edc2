import { isOutsideDigest, kindOf } from '../rules/ca-paths.ts';
import type { CaFile } from '../rules/ca-plan.ts';
import { lacking } from '../rules/crl.ts';
import type { OwnRevocation } from '../rules/made-here.ts';
import type { AcceptedEntry, AcceptedSet } from '../system/accepted-set.ts';
import type { Crl } from '../system/certificates.ts';
import type { ContentStore } from '../system/content-store.ts';
import { readBytesIfThere } from '../system/files.ts';
import type { CaWish } from './ca-decision.ts';
import type { HeldStore } from './ca-held.ts';
import { leftBehind } from './ca-leftovers.ts';
import { liveLists, type LiveCa } from './ca-live.ts';
import { acceptedInventory } from './ca-own.ts';
import { listCa } from './ca.ts';

export interface Drift {
  /** Brings back what the active last had. */
  readonly wish: Omit<CaWish, 'accepted'>;
  /** Paths that are not live as accepted. */
  readonly differs: readonly string[];
  /** Of these, what can't be put back from here: its content is not kept intact. */
  readonly unhealable: readonly string[];
  /** What only this master has. */
  readonly own: { readonly certificates: readonly string[]; readonly revocations: readonly OwnRevocation[] };
}

export interface DriftSides {
  readonly live: LiveCa;
  readonly set: AcceptedSet;
  readonly content: ContentStore;
  readonly held: HeldStore;
}

/** Compares the whole live CA with what was last accepted. What a hold keeps back is no drift. */
export async function compareLive({ live, set, content, held }: DriftSides): Promise<Drift> {
  const holds = await held.read();
  const waits = ({ path, sha256 }: CaFile): boolean => set.get(path)?.sha256 === sha256;
  const waiting = new Set(holds.flatMap(({ files }) => files.filter(waits).map(({ path }) => path)));
  const leaving = new Set(holds.flatMap(({ removals }) => removals.map(({ path }) => path)));
  const entries = [...set.all()].filter(({ path }) => !waiting.has(path) && isCompared(path));
  const differing = await differingFrom(live, entries, set);
  const intact: CaFile[] = [];
  const unhealable: string[] = [];
  for (const { path, sha256 } of differing) {
    if (await content.isIntact(sha256)) intact.push({ path, sha256 });
    else unhealable.push(path);
  }
  const lost = holds.filter(({ rule }) => rule === 'crl-lost');
  const serials = new Set(lost.flatMap((hold) => hold.serials.map((serial) => BigInt(`0x${serial}`))));
  const { paths } = await listCa(live.cadir);
  const unknown = paths.filter(
    (path) => kindOf(path) === 'certificate' && !leaving.has(path) && set.get(path) === undefined,
  );
  const inventoryLines = await acceptedInventory(set, content);
  const left = await leftBehind(live, unknown, inventoryLines);
  const own = unknown.filter((path) => !left.has(path));
  return {
    wish: {
      incoming: intact,
      deleted: [],
      leftovers: left,
      source: (_path, sha256) => content.path(sha256),
      inventoryLines,
      certificates: { before: 0, after: 0 },
      forgiven: new Set(),
    },
    differs: [...intact.map(({ path }) => path), ...unhealable],
    unhealable,
    own: { certificates: own, revocations: await ownRevocations(live, set, content, serials) },
  };
}

// Inventory and serial are compared by their rules, not by their bytes; infra files are each side's own.
const isCompared = (path: string): boolean => path !== 'inventory.txt' && !isOutsideDigest(path);

async function differingFrom(live: LiveCa, entries: readonly AcceptedEntry[], set: AcceptedSet) {
  const hashes = await live.hashes(
    entries.map(({ path }) => path),
    (path) => set.get(path),
  );
  return entries.filter(({ path, sha256 }) => hashes.get(path) !== sha256);
}

async function ownRevocations(
  live: LiveCa,
  set: AcceptedSet,
  content: ContentStore,
  leaving: ReadonlySet<bigint>,
): Promise<OwnRevocation[]> {
  const entry = set.get('ca_crl.pem');
  const pem = entry === undefined ? undefined : await readBytesIfThere(content.path(entry.sha256));
  if (pem === undefined) return [];
  const accepted = live.readCrls(pem, 'ca_crl.pem');
  const lists: Crl[] = await liveLists(live);
  return lists.flatMap(({ issuer, revoked, ...list }) => {
    const other = accepted.find((one) => one.issuer === issuer);
    const own = lacking({ issuer, revoked, number: list.number }, other, (serial) => leaving.has(serial));
    return own.map((serial) => ({ issuer, serial: serial.toString(16), date: revoked.get(serial) ?? '' }));
  });
}
