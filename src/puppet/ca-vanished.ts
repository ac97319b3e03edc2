import { readFile } from 'node:fs/promises';
import { certnameOf, kindOf } from '../rules/ca-paths.ts';
import type { CaFile } from '../rules/ca-plan.ts';
import type { VanishFacts } from '../rules/brakes-ca.ts';
import { vanishFactsOf, withVanished, type Vanished } from '../rules/vanishing.ts';
import type { AcceptedSet } from '../system/accepted-set.ts';
import { readCertificates } from '../system/certificates.ts';
import { inParallel } from '../system/in-parallel.ts';
import type { State } from '../system/state.ts';
import type { HeldCa } from './ca-held.ts';
import type { LiveCa } from './ca-live.ts';

/** What vanished on the active lately: `state/vanished.json`. */
export interface VanishedBook {
  read(): Promise<Vanished>;
  /** The same paths again change nothing. */
  note(change: { readonly gone: readonly string[]; readonly back: readonly string[] }, now: Date): Promise<void>;
  /** An admin has decided on it: what comes is counted from here. */
  forget(): Promise<void>;
}

const name = 'vanished';

export function createVanishedBook(state: State): VanishedBook {
  const read = async (): Promise<Vanished> => (await state.read<{ paths: Vanished }>(name))?.paths ?? {};
  return {
    read,
    note: async (change, now) => {
      const known = await read();
      if (change.gone.length === 0 && !change.back.some((path) => known[path] !== undefined)) return;
      await state.write(name, { paths: withVanished(known, change, now) });
    },
    forget: () => state.remove(name),
  };
}

export interface VanishSides {
  readonly live: LiveCa;
  readonly set: AcceptedSet;
  readonly vanished: Pick<VanishedBook, 'read'>;
  readonly now: Date;
}

/** What the brake on many removals asks for. `removed`: paths of certificates that are live and would go. */
export async function vanishFacts(
  { live, set, vanished, now }: VanishSides,
  {
    removed,
    waiting,
    expected,
  }: { readonly removed: readonly string[]; readonly waiting: readonly string[]; readonly expected: number },
): Promise<VanishFacts> {
  if (removed.length === 0) return { vanishing: [], old: [], waiting, expected, before: 0, replaced: 0 };
  const isThere = (certname: string): boolean => set.get(`signed/${certname}.pem`) !== undefined;
  const [book, inventory] = [await vanished.read(), await live.text('inventory.txt')];
  const asked = { removed: await withBegin(live, removed), waiting, expected, vanished: book, inventory, isThere };
  return vanishFactsOf(asked, now);
}

async function withBegin(live: LiveCa, paths: readonly string[]): Promise<[string, number | undefined][]> {
  const found: [string, number | undefined][] = [];
  await inParallel(paths, 16, async (path) => {
    const begin = await readFile(live.path(path)).then(
      (pem) => readCertificates(pem, certnameOf(path))[0]?.notBefore.getTime(),
      () => undefined,
    );
    found.push([path, begin]);
  });
  return found;
}

/** Removals that wait for a decision already: what vanishes now belongs to the same hold. */
export function waitingRemovals(
  held: readonly HeldCa[],
  isOpen: (id: string) => boolean,
  incoming: readonly CaFile[],
  set: AcceptedSet,
): { readonly ids: readonly string[]; readonly paths: readonly string[] } {
  const arriving = new Set(incoming.map(({ path }) => path));
  const open = held.filter(({ id, rule }) => rule === 'certificates-vanish' && isOpen(id));
  const paths = open.flatMap(({ removals }) => removals.map(({ path }) => path));
  const stand = paths.filter(
    (path) => set.get(path) === undefined && !arriving.has(path) && kindOf(path) === 'certificate',
  );
  return { ids: open.map(({ id }) => id), paths: [...new Set(stand)] };
}
