import { quoteText, type Session } from '../system/postgres.ts';

/** Empty where PostgreSQL does not count: then nothing is known. */
export type ChangeProbe = string;

/**
 * A cheap question whether a database changed: two answers compared by `mayHaveChanged`. It counts the rows written to this
 * database's tables (the catalog included: a GRANT is a row there), and looks at its sequences and at the files of its tables
 * (TRUNCATE counts no rows). A backend may tell its counters up to a minute late, but they only grow, so a change shows in a
 * later answer: ask BEFORE the snapshot that is compared with. After a crash or a reset they begin anew; then the start time
 * or the reset time differs. Not the WAL's position: most uses of a sequence do not move it, nor do unlogged tables.
 * PostgreSQL before 15 may lose a counter message, so now and then the digest itself is asked.
 */
export async function probeChange(session: Session): Promise<ChangeProbe> {
  const [row] = await session.query<{ counters: string }>(probeQuery);
  return row?.counters ?? '';
}

export const mayHaveChanged = (before: ChangeProbe | undefined, now: ChangeProbe): boolean =>
  now === '' || before !== now;

const analyzeOnly = ['pg_statistic', 'pg_statistic_ext_data'].map(quoteText).join(', ');
const tableCounters = `SELECT sum(n_tup_ins) || '.' || sum(n_tup_upd) || '.' || sum(n_tup_del) || '.' || count(*)
  FROM pg_stat_all_tables WHERE schemaname !~ '^pg_toast' AND relname NOT IN (${analyzeOnly})`;
const tableFiles = `SELECT string_agg(oid || '=' || relfilenode, ',' ORDER BY oid) FROM pg_class
  WHERE relkind = 'r' AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)`;
const sequenceValues = `SELECT string_agg(schemaname || '.' || sequencename || '=' || last_value, ',' ORDER BY schemaname, sequencename)
  FROM pg_sequences`;
const probeQuery = `SELECT CASE WHEN current_setting('track_counts')::bool
    THEN md5(concat_ws('/', pg_postmaster_start_time(), d.oid, d.stats_reset, (${tableCounters}), (${tableFiles}), (${sequenceValues})))
    ELSE '' END AS counters
  FROM (SELECT s.stats_reset, b.oid FROM pg_database b JOIN pg_stat_database s ON s.datid = b.oid WHERE b.datname = current_database()) d`;
