import type { IssuerDecision } from './crl.ts';
import { kindOf, type CaPathKind } from './ca-paths.ts';

/** A file that the active has (from a drop, or what it last had applied). */
export interface CaFile {
  readonly path: string;
  readonly sha256: string;
}

export interface CaPlanInput {
  /** What the active last had, for the paths in question. */
  readonly accepted: (path: string) => string | undefined;
  /** Live sha256 by path, for the paths in question. */
  readonly live: (path: string) => string | undefined;
  readonly incoming: readonly CaFile[];
  /** Paths of the accepted set that the new one lacks. */
  readonly deleted: readonly string[];
  /** Paths whose content may not go live, with the reason. */
  readonly bad: ReadonlyMap<string, string>;
  /** Paths that a brake holds. */
  readonly held: ReadonlySet<string>;
  readonly serial: bigint | undefined;
  readonly inventory: readonly string[];
  readonly crls: readonly IssuerDecision[];
}

export type CaAction =
  | { readonly kind: 'serial'; readonly value: bigint }
  | { readonly kind: 'inventory'; readonly lines: readonly string[] }
  | { readonly kind: 'certificate' | 'ca' | 'infra'; readonly path: string; readonly sha256: string }
  | { readonly kind: 'crl'; readonly issuers: readonly IssuerDecision[] }
  | { readonly kind: 'remove'; readonly path: string; readonly sha256: string };

export interface CaPlan {
  readonly actions: readonly CaAction[];
  /** Live files that are neither what the active had nor what it has: replaced, archived, reported. */
  readonly bothSigned: readonly string[];
  /** Live files that the active no longer has, but that the spare changed itself: they stay. */
  readonly kept: readonly string[];
}

const order: readonly CaAction['kind'][] = ['serial', 'inventory', 'certificate', 'ca', 'crl', 'infra', 'remove'];

/**
 * Three-way: what the active last had, what it has now, what is live. INVARIANT of the order: after every prefix the
 * directory is a valid CA: the serial lies above every certificate, each certificate stands in the inventory before it
 * is there, and nothing goes before everything new has come.
 */
export function planCa(input: CaPlanInput): CaPlan {
  const actions: CaAction[] = [
    ...(input.serial === undefined ? [] : [{ kind: 'serial' as const, value: input.serial }]),
    ...(input.inventory.length === 0 ? [] : [{ kind: 'inventory' as const, lines: input.inventory }]),
    ...placements(input),
    ...(input.crls.some(({ use }) => use !== 'live') ? [{ kind: 'crl' as const, issuers: input.crls }] : []),
    ...removals(input),
  ];
  return {
    actions: actions.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind)),
    bothSigned: actions.flatMap((action) =>
      action.kind === 'certificate' && isOwn(input, action.path) ? [action.path] : [],
    ),
    kept: input.deleted.filter((path) => isCertificate(path) && isOwn(input, path)),
  };
}

/** The files that a plan places, replaces or removes. */
export const changedPaths = ({ actions }: Pick<CaPlan, 'actions'>): string[] =>
  actions.flatMap((action) => {
    if (action.kind === 'crl') return ['ca_crl.pem'];
    return 'path' in action ? [action.path] : [];
  });

const placed: ReadonlySet<CaPathKind | undefined> = new Set<CaPathKind>(['certificate', 'ca', 'infra']);

function placements({ incoming, live, bad, held }: CaPlanInput): CaAction[] {
  return incoming.flatMap(({ path, sha256 }) => {
    const kind = kindOf(path) as 'certificate' | 'ca' | 'infra' | undefined;
    if (kind === undefined || !placed.has(kind) || bad.has(path) || held.has(path)) return [];
    return live(path) === sha256 ? [] : [{ kind, path, sha256 }];
  });
}

// Only what is exactly as the active last had it: a certificate that the spare renewed itself stays.
function removals({ deleted, live, accepted, held }: CaPlanInput): CaAction[] {
  return deleted.flatMap((path) => {
    const sha256 = live(path);
    if (sha256 === undefined || sha256 !== accepted(path) || held.has(path) || !isCertificate(path)) return [];
    return [{ kind: 'remove' as const, path, sha256 }];
  });
}

const isCertificate = (path: string): boolean => kindOf(path) === 'certificate';
const isOwn = ({ live, accepted }: CaPlanInput, path: string): boolean =>
  live(path) !== undefined && live(path) !== accepted(path);
