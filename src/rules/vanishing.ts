import type { VanishFacts } from './brakes-ca.ts';
import { momentOf, parseInventoryLine, wholeLines } from './inventory.ts';

const dayMs = 86_400_000;

/** What vanished within this time is judged together. */
export const vanishWindowMs = dayMs;

// Puppet dates a certificate one day back, against clocks that differ.
const backDatedMs = dayMs;

export interface Vanishing {
  /** Certificates that are live and would go: path, and when they began; undefined: it is no certificate any more. */
  readonly removed: readonly (readonly [path: string, notBefore: number | undefined])[];
  readonly waiting: readonly string[];
  readonly expected: number;
  readonly vanished: Vanished;
  /** The live one. */
  readonly inventory: string;
  /** Whether the active has a certificate of that name. */
  readonly isThere: (certname: string) => boolean;
}

/** What the brake on many removals asks for. What is no certificate any more has no age, and counts. */
export function vanishFactsOf(asked: Vanishing, now: Date): VanishFacts {
  const { removed, waiting, expected, vanished, inventory, isThere } = asked;
  const old = removed.flatMap(([path, begin]) => (begin === undefined || isOfBefore(begin, now) ? [path] : []));
  const vanishing = removed.map(([path]) => path);
  const going = new Set(vanishing);
  const before = Object.keys(vanishedBy(vanished, now)).filter((path) => !going.has(path)).length;
  const replaced = before === 0 ? 0 : newNames(inventory, now).filter(isThere).length;
  return { vanishing, old: old.sort(), waiting, expected, before, replaced };
}

/** Certificates of before the window that vanished on the active within it: path to when, ISO 8601. */
export type Vanished = Readonly<Record<string, string>>;

/** Was it issued before the window began? One of the future is of another clock, and counts. */
export function isOfBefore(notBefore: number, now: Date): boolean {
  return notBefore > now.getTime() || notBefore <= now.getTime() - vanishWindowMs - backDatedMs;
}

/** As of now: what is out of the window is forgotten; what a clock that was set back left in the future begins to age. */
export function vanishedBy(vanished: Vanished, now: Date): Vanished {
  const begin = now.getTime() - vanishWindowMs;
  const recent = Object.entries(vanished).flatMap(([path, at]) => {
    const when = Math.min(Date.parse(at), now.getTime());
    return when > begin ? [[path, new Date(when).toISOString()] as const] : [];
  });
  return Object.fromEntries(recent);
}

/** With those that vanished now, without those whose name came back: a renewal. */
export function withVanished(
  vanished: Vanished,
  { gone, back }: { readonly gone: readonly string[]; readonly back: readonly string[] },
  now: Date,
): Vanished {
  const at = now.toISOString();
  const returned = new Set(back);
  const all = { ...Object.fromEntries(gone.map((path) => [path, at])), ...vanishedBy(vanished, now) };
  return Object.fromEntries(Object.entries(all).filter(([path]) => !returned.has(path)));
}

/** Names that an inventory has since the window began, and not before: what took the place of others. */
export function newNames(inventory: string, now: Date): string[] {
  const [fresh, older] = [new Set<string>(), new Set<string>()];
  for (const line of wholeLines(inventory).map(parseInventoryLine)) {
    if (line === undefined) continue;
    (isOfBefore(momentOf(line.notBefore), now) ? older : fresh).add(line.name);
  }
  return [...fresh].filter((name) => !older.has(name));
}
