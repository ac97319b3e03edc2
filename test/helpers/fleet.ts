import { brakeCa, type CaHold } from '../../src/rules/brakes-ca.ts';
import { isOfBefore, vanishFactsOf, withVanished, type Vanished } from '../../src/rules/vanishing.ts';

const hourMs = 3_600_000;

/** What happens on one day, in this order, spread over it. */
export interface Day {
  /** New machines under new names. */
  readonly born: number;
  /** Share of the old ones that is cleaned, one by one. */
  readonly cleaned: number;
  /** Share that renews its certificate under its name, one by one. */
  readonly renewed: number;
  /** How often one host is cleaned and signed again under its name. */
  readonly rebuilt: number;
  /** Short-lived machines that come, and go within the day, at most a tenth of the fleet at once. */
  readonly burst: number;
  /** What was cleaned reaches the spare with what was born, in one drop. */
  readonly outage: boolean;
}

/** A spare's side of a CA as the rules see it: no file, no certificate, hours that pass. */
export function fleetYear(size: number) {
  const begins = new Map<string, number>();
  const [held, inventory]: [CaHold[], string[]] = [[], []];
  let [now, born, vanished]: [number, number, Vanished] = [Date.parse('2027-03-01T00:00:00Z'), 0, {}];
  const waiting = new Set<string>();
  const iso = (at: number): string => `${new Date(at).toISOString().slice(0, 19)}UTC`;
  const sign = (name: string): void => {
    begins.set(name, now - 24 * hourMs);
    waiting.delete(path(name));
    inventory.push(`0x${(inventory.length + 3).toString(16)} ${iso(now - 24 * hourMs)} ${iso(now + 1e11)} /CN=${name}`);
    vanished = withVanished(vanished, { gone: [], back: [path(name)] }, new Date(now));
  };
  const path = (name: string): string => `signed/${name}.pem`;
  const remove = (names: readonly string[]): void => {
    if (names.length === 0) return;
    const removed = names.map((name) => [path(name), begins.get(name)] as const);
    const asked = { removed, waiting: [...waiting], expected: 0, vanished, inventory: `${inventory.join('\n')}\n` };
    const gone = new Set(names);
    const isThere = (name: string): boolean => begins.has(name) && !gone.has(name) && !waiting.has(path(name));
    const facts = vanishFactsOf({ ...asked, isThere }, new Date(now));
    const before = begins.size - waiting.size;
    const certificates = { certificatesBefore: before, certificatesAfter: before - names.length };
    const [hold] = brakeCa({ changedCa: [], crls: [], ...certificates, vanish: facts });
    vanished = withVanished(vanished, { gone: facts.old, back: [] }, new Date(now));
    const kept = new Set(hold?.paths);
    if (hold !== undefined) held.push(hold);
    for (const name of names) {
      if (kept.has(path(name))) waiting.add(path(name));
      else begins.delete(name);
    }
  };
  const older = (): string[] => [...begins].flatMap(([name, at]) => (at < now - 72 * hourMs ? [name] : []));
  const each = (names: readonly string[], step: (names: readonly string[]) => void): void => {
    for (const name of names) step([name]);
  };
  const bear = (count: number, kind = 'n'): string[] => {
    const names = Array.from({ length: count }, () => `${kind}${(born += 1)}.lab`);
    for (const name of names) sign(name);
    return names;
  };
  bear(size);
  for (const name of begins.keys()) begins.set(name, now - 900 * hourMs);
  for (const [n, line] of inventory.entries()) inventory[n] = line.replace(/ \S+ /, ` ${iso(now - 900 * hourMs)} `);
  return {
    held,
    get size() {
      return begins.size;
    },
    /** Those that were signed within a day: they do not count. */
    get young() {
      return [...begins.values()].filter((begin) => !isOfBefore(begin, new Date(now))).length;
    },
    live: (day: Day): void => {
      now += 6 * hourMs;
      bear(day.born);
      const going = older().slice(0, Math.floor(older().length * day.cleaned));
      if (day.outage) remove(going);
      else each(going, remove);
      now += 6 * hourMs;
      const staying = [...begins.keys()];
      for (const name of staying.slice(0, Math.floor(staying.length * day.renewed))) sign(name);
      const [host] = staying;
      for (let n = 0; n < day.rebuilt && host !== undefined; n += 1) {
        if (begins.size > 1) remove([host]);
        sign(host);
      }
      now += 6 * hourMs;
      const burst = bear(day.burst, 'short');
      now += 3 * hourMs;
      const atOnce = Math.max(1, Math.floor(begins.size / 10));
      for (let at = 0; at < burst.length; at += atOnce) remove(burst.slice(at, at + atOnce));
      now += 3 * hourMs;
    },
    /** A mistake: so many of the oldest, all in one drop or each in its own. */
    lose: (count: number, oneByOne: boolean): void => {
      const names = [...begins].sort((a, b) => a[1] - b[1]).map(([name]) => name);
      if (oneByOne) each(names.slice(0, count), remove);
      else remove(names.slice(0, count));
    },
  };
}
