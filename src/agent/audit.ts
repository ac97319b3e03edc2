import { toFailure } from '../errors.ts';
import type { Audit, DatabaseAudit, Part } from '../rules/audit.ts';

/** What gathers one part; `off`: this master has no such thing, because ... */
export type Source<Value> = ((signal: AbortSignal) => Promise<Value>) | { readonly off: string };

type Found<P> = P extends { readonly found: infer Value } ? Value : never;
type Parts = Omit<Audit, 'certname' | 'role' | 'epoch' | 'platform' | 'databases'>;

export type AuditSources = { readonly [Name in keyof Parts]: Source<Found<Parts[Name]>> } & {
  readonly databases: ReadonlyMap<string, Source<DatabaseAudit>>;
};

export interface AuditParts {
  readonly who: Pick<Audit, 'certname' | 'role' | 'epoch' | 'platform'>;
  readonly sources: AuditSources;
  readonly signal: AbortSignal;
  /** Of each part, by its name. */
  readonly limitFor: (part: string) => number;
}

/** All parts at once. One that fails, or takes too long, says so, and the rest goes on. */
export async function gatherAudit({ who, sources, signal, limitFor }: AuditParts): Promise<Audit> {
  const part = <Value>(name: string, source: Source<Value>): Promise<Part<Value>> =>
    gather(source, signal, limitFor(name));
  const { databases, ...others } = sources;
  const asked = Promise.all(
    [...databases].map(async ([name, source]) => [name, await part('databases', source)] as const),
  );
  const [ca, certificate, classifier, files, environments, gems, builds, settings, between, each] = await Promise.all([
    ...([part('ca', others.ca), part('certificate', others.certificate)] as const),
    ...([part('classifier', others.classifier), part('files', others.files)] as const),
    ...([part('environments', others.environments), part('gems', others.gems)] as const),
    ...([part('builds', others.builds), part('settings', others.settings)] as const),
    ...([part('between', others.between), asked] as const),
  ]);
  return {
    ...who,
    ...{ ca, certificate, classifier, files, environments, gems, builds, settings, between },
    databases: new Map(each),
  };
}

async function gather<Value>(source: Source<Value>, signal: AbortSignal, limitMs: number): Promise<Part<Value>> {
  if (typeof source !== 'function') return source;
  const within = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
  try {
    return { found: await orAborted(source(within), within) };
  } catch (error) {
    signal.throwIfAborted();
    const why = within.aborted ? `no answer within ${limitMs / 1000} s` : toFailure(error).message;
    return { failed: why.slice(0, 2000) };
  }
}

/** What waits for a disk or a service that is gone does not hear the signal. */
async function orAborted<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(toFailure(signal.reason));
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
