import { momentOf, parseInventoryLine, wholeLines } from './inventory.ts';

const dayMs = 86_400_000;

/** What vanished within this time is judged together. */
export const vanishWindowMs = dayMs;

// Puppet dates a certificate one day back, against clocks that differ.
const backDatedMs = dayMs;

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
