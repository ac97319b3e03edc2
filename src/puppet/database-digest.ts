import { quoteName, quoteText, type Session } from '../system/postgres.ts';
import {
  databaseDigest,
  type DatabaseContent,
  type Definition,
  type SequenceValue,
  type TableSum,
} from '../rules/table-digest.ts';
import type { DatabaseShape } from '../rules/brakes-database.ts';
import type { Volatile } from '../rules/volatile.ts';
import { countAdministrators, rbacDatabase } from './rbac-administrators.ts';
import { definitionsQuery, sequencesQuery, tablesQuery } from './database-catalog.ts';

export interface DatabaseDigests {
  /** Without what is volatile: equal means that nothing has to be switched. */
  readonly digest: string;
  /** Of all. */
  readonly wholeDigest: string;
}

/** Rows by table, without volatile ones. */
const rowsOf = ({ stable }: Content): Readonly<Record<string, number>> =>
  Object.fromEntries(stable.tables.map(({ name, rows }) => [name, rows]));

/** What a database holds, read in one transaction. */
export interface Content {
  readonly stable: DatabaseContent;
  readonly whole: DatabaseContent;
  /** Sequences of volatile tables, which only the whole counts. */
  readonly volatileSequences: ReadonlySet<string>;
}

export const digestsOf = ({ stable, whole }: Content): DatabaseDigests => ({
  digest: databaseDigest(stable),
  wholeDigest: databaseDigest(whole),
});

/** The same content with the sequences that a dump really holds: they move on while it is made. */
export function withSequences(content: Content, sequences: readonly SequenceValue[]): Content {
  const stable = sequences.filter(({ name }) => !content.volatileSequences.has(name));
  return {
    ...content,
    stable: { ...content.stable, sequences: stable },
    whole: { ...content.whole, sequences },
  };
}

// Every setting that the text of a value depends on. search_path also keeps functions of the database out of our way.
const pinned = [
  "TimeZone = 'UTC'",
  "DateStyle = 'ISO, YMD'",
  "IntervalStyle = 'postgres'",
  'extra_float_digits = 3',
  "bytea_output = 'hex'",
  "lc_monetary = 'C'",
  "xmlbinary = 'base64'",
  "xmloption = 'content'",
  'quote_all_identifiers = off',
  'row_security = off',
  "search_path = ''",
];

/** Pins the settings until the end of the transaction. */
export async function pinSettings(session: Session): Promise<void> {
  await session.query(pinned.map((setting) => `SET LOCAL ${setting}`).join('; '));
}

/** Reads a database within an open transaction whose settings are pinned. Rows are hashed and summed by the server. */
export async function readContent(session: Session, volatile: Volatile): Promise<Content> {
  const stable: TableSum[] = [];
  const whole: TableSum[] = [];
  for (const table of await session.query<Table>(tablesQuery)) {
    const all = await sumTable(session, table, table.columns);
    whole.push(all);
    const plain = `${table.schema}.${table.table}`;
    const left = volatile.columns.get(plain);
    if (volatile.tables.has(plain)) continue;
    stable.push(left === undefined ? all : await sumTable(session, table, except(table.columns, left)));
  }
  const objects = await sumLargeObjects(session);
  const definitions = await session.query<Definition>(definitionsQuery);
  const sequences = await session.query<Sequence>(sequencesQuery);
  const content = {
    stable: { tables: [...stable, objects], definitions, sequences: [] },
    whole: { tables: [...whole, objects], definitions, sequences: [] },
    volatileSequences: new Set(sequences.filter((s) => volatile.tables.has(s.owner ?? '')).map((s) => s.name)),
  };
  return withSequences(content, await readSequences(session, sequences));
}

interface Table {
  readonly name: string;
  readonly schema: string;
  readonly table: string;
  readonly columns: readonly string[];
}

interface Sequence {
  readonly name: string;
  readonly owner: string | null;
}

const except = (columns: readonly string[], left: ReadonlySet<string>): string[] =>
  columns.filter((column) => !left.has(column));

async function sumTable(session: Session, table: Table, columns: readonly string[]): Promise<TableSum> {
  const row = `ROW(${columns.map((column) => `t.${quoteName(column)}`).join(', ')})::text`;
  const hash = `encode(sha256(convert_to(${row}, 'UTF8')), 'hex')`;
  return sumRows(session, table.name, `SELECT ${hash} AS h FROM ONLY ${table.name} t`);
}

const sumLargeObjects = (session: Session): Promise<TableSum> =>
  sumRows(
    session,
    'large objects',
    `SELECT encode(sha256(convert_to(ROW(loid, pageno, data)::text, 'UTF8')), 'hex') AS h FROM pg_largeobject`,
  );

// OFFSET 0: the hash is computed once a row, not once a lane.
async function sumRows(session: Session, name: string, rows: string): Promise<TableSum> {
  const lane = (from: number, digits: number): string =>
    `coalesce(sum(('x' || substr(h, ${from}, ${digits}))::bit(${digits * 4})::bigint), 0)::text`;
  const lanes = [lane(1, 14), lane(15, 14), lane(29, 14), lane(43, 14), lane(57, 8)];
  const [sum] = await session.query<{ rows: string; lanes: TableSum['lanes'] }>(
    `SELECT count(*)::text AS rows, ARRAY[${lanes.join(', ')}] AS lanes FROM (${rows} OFFSET 0) hashed`,
  );
  return { name, rows: Number(sum?.rows), lanes: sum?.lanes ?? ['0', '0', '0', '0', '0'] };
}

async function readSequences(session: Session, sequences: readonly Sequence[]): Promise<SequenceValue[]> {
  if (sequences.length === 0) return [];
  const one = ({ name }: Sequence): string =>
    `SELECT ${quoteText(name)} AS name, last_value::text AS last, is_called AS called FROM ${name}`;
  return session.query<SequenceValue>(sequences.map(one).join(' UNION ALL '));
}

export interface Measured extends DatabaseDigests {
  readonly shape: DatabaseShape;
}

/** Digests and shape of a database as it is now, in a transaction of its own. */
export async function measureDatabase(session: Session, database: string, volatile: Volatile): Promise<Measured> {
  return await inSnapshot(session, async () => {
    const content = await readContent(session, volatile);
    const administrators = database === rbacDatabase ? await countAdministrators(session) : undefined;
    const shape = { rows: rowsOf(content), ...(administrators === undefined ? {} : { administrators }) };
    return { ...digestsOf(content), shape };
  });
}

/** Runs `work` in a read-only transaction that sees one state, with pinned settings. */
export async function inSnapshot<Value>(session: Session, work: () => Promise<Value>): Promise<Value> {
  await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  try {
    await pinSettings(session);
    return await work();
  } finally {
    await session.query('ROLLBACK').catch(() => undefined);
  }
}
