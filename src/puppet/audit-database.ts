import type { DatabaseAudit } from '../rules/audit.ts';
import { databaseDigest } from '../rules/table-digest.ts';
import { parseVolatile } from '../rules/volatile.ts';
import type { Mac } from '../system/keyed-digest.ts';
import type { Postgres } from '../system/postgres.ts';
import { digestsOf, inSnapshot, readContent } from './database-digest.ts';

export interface DatabaseAuditOrder {
  readonly name: string;
  readonly volatile: readonly string[];
  readonly mac: Mac;
  readonly signal: AbortSignal;
  /** Of each table. */
  readonly statementTimeoutMs: number;
}

/** A live database, table by table, of one moment. */
export async function auditDatabase(admin: Postgres, order: DatabaseAuditOrder): Promise<DatabaseAudit> {
  const { name, volatile, mac, signal, statementTimeoutMs } = order;
  await using session = await admin.connect(name, { signal, statementTimeoutMs });
  const [version] = await session.query<{ major: number }>(
    `SELECT current_setting('server_version_num')::int / 10000 AS major`,
  );
  const content = await inSnapshot(session, () => readContent(session, parseVolatile(volatile)));
  const { tables, definitions, sequences } = content.stable;
  return {
    major: version?.major ?? 0,
    ...digestsOf(content),
    tables: tables.map(({ name: table, rows, lanes }) => [table, rows, mac([table, rows, ...lanes].join('\0'))]),
    definitions: mac(databaseDigest({ tables: [], definitions, sequences: [] })),
    sequences: mac(databaseDigest({ tables: [], definitions: [], sequences })),
  };
}
