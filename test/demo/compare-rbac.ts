// Compares pe-rbac on two PostgreSQL clusters by SQL and by pg_dump's text of the schema. Says what is amiss.
import type { Problem } from './compare-ca.ts';
import type { DemoMaster } from './master.ts';

type Side = Pick<DemoMaster, 'letter' | 'cluster'>;

const database = 'pe-rbac';
/** What changes by mere use, and reaches the spare with the next real change only. */
const tablesByUse = ['tokens'];
const columnsByUse = ['subjects.last_login', 'subjects.failed_login_attempts'];

export async function rbacProblem(from: Side, to: Side): Promise<Problem> {
  const [theirs, ours] = [await rowsOf(from), await rowsOf(to)];
  for (const [table, rows] of theirs) {
    const there = ours.get(table);
    if (there === undefined) return `${to.letter} has no table ${table}`;
    if (rows !== there) return `${table} has other rows on ${to.letter}: ${firstDifference(rows, there)}`;
  }
  if (ours.size !== theirs.size) return `${to.letter} has ${ours.size} tables, ${from.letter} ${theirs.size}`;
  return (await schemaOf(from)) === (await schemaOf(to)) ? undefined : 'the definitions differ';
}

/** The database that is live now, by PostgreSQL's own number: a restore brings another one. */
export async function databaseNumber({ cluster }: Side): Promise<string> {
  const rows = await cluster.sql<{ oid: string }>('postgres', `SELECT oid FROM pg_database WHERE datname = 'pe-rbac'`);
  return String(rows[0]?.oid);
}

/** All rows of each table as sorted text, without what changes by mere use. */
async function rowsOf({ cluster }: Side): Promise<Map<string, string>> {
  await using session = await cluster.open(database);
  await session.query('SET search_path = public');
  const columns = await session.query<{ table_name: string; column_name: string }>(
    `SELECT table_name, column_name FROM information_schema.columns NATURAL JOIN information_schema.tables
       WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY table_name, column_name`,
  );
  const byTable = Map.groupBy(columns, ({ table_name: table }) => table);
  const found = new Map<string, string>();
  for (const [table, all] of byTable) {
    if (tablesByUse.includes(table)) continue;
    const wanted = all
      .filter(({ column_name: column }) => !columnsByUse.includes(`${table}.${column}`))
      .map(({ column_name: column }) => `"${column}"`);
    const [row] = await session.query<{ text: string | null }>(
      `SELECT string_agg(t, E'\\n' ORDER BY t COLLATE "C") AS text
         FROM (SELECT row(${wanted.join(', ')})::text AS t FROM "${table}") AS rows`,
    );
    found.set(table, row?.text ?? '');
  }
  return found;
}

async function schemaOf({ cluster }: Side): Promise<string> {
  const signal = AbortSignal.timeout(30_000);
  const { stdout } = await cluster.admin.tool('pg_dump', { database, args: ['-s'], timeoutMs: 30_000, signal });
  // Newer releases add a line with a random key; casts in a CHECK are written in another way once it was restored.
  return stdout
    .replaceAll(/^\\(un)?restrict .*$/gm, '')
    .replaceAll(/^.* CHECK .*$/gm, (line) => line.replaceAll(/::(character varying|text)(\[\])?|[()]/g, ''));
}

function firstDifference(theirs: string, ours: string): string {
  const [a, b] = [theirs.split('\n'), ours.split('\n')];
  const n = a.findIndex((line, at) => line !== b[at]);
  return `${b[n < 0 ? a.length : n] ?? 'nothing'} instead of ${a[n] ?? 'nothing'}`;
}
