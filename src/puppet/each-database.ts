import { Failure, toFailure } from '../errors.ts';
import { outcomeOfSeveral, type Part } from '../rules/several.ts';

type Outcome = Exclude<ReturnType<typeof outcomeOfSeveral>, Failure>;

/** One after the other: a database that fails does not stop the others. Throws what failed when all had their turn. */
export async function eachDatabase<Database extends { readonly name: string }>(
  databases: readonly Database[],
  signal: AbortSignal,
  work: (database: Database) => Promise<Outcome>,
): Promise<Outcome> {
  const parts: Part[] = [];
  for (const database of databases) {
    signal.throwIfAborted();
    const outcome = await work(database).catch((error: unknown) => {
      signal.throwIfAborted();
      return { kind: 'failed' as const, failure: toFailure(error) };
    });
    parts.push({ name: database.name, outcome });
  }
  const outcome = outcomeOfSeveral(parts);
  if (outcome instanceof Failure) throw outcome;
  return outcome;
}
