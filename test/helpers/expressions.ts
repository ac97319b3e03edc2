/** Definitions that PostgreSQL may print otherwise after a dump and restore. */
export const expressions: readonly string[] = [
  `CREATE TABLE t (a varchar(5) CHECK (a IN ('x y', 'z')), b text, c numeric(10, 2) DEFAULT 1.5::numeric(10, 2),
    d text DEFAULT 'it''s (a)  test'::text, e timestamp(3) DEFAULT '2020-01-01'::timestamp, f date DEFAULT (now() AT TIME ZONE 'utc')::date,
    g int, h varchar[] DEFAULT ARRAY['p', 'q']::varchar[], CHECK (a IN ('x','y') OR a LIKE 'z%' AND b = ANY ('{x,y}')),
    CHECK (g BETWEEN 1 AND 5 AND c > 2), CHECK (c > 2 AND g BETWEEN 1 AND 5), CHECK (g NOT BETWEEN 1 AND 5 OR c > 2),
    CHECK (a <> ALL (ARRAY['q', 'r']) OR a || 'x' IN ('a'::varchar(3), b)), CHECK ((g + 1) * 2 > -(g) AND NOT (a = 'x' AND b = 'y')))`,
  `CREATE INDEX ON t (lower(a) text_pattern_ops, (g + 1)) WHERE a NOT IN ('q', 'r') AND e BETWEEN '2020-01-01' AND '2021-01-01' AND g > 1`,
  `CREATE TABLE u (g int, x text)`,
  `CREATE VIEW v AS SELECT t.*, x, CASE a WHEN 'x' THEN 1 ELSE 2 END AS k, (SELECT max(g) FROM u WHERE u.x IN (t.a, 'lit  eral')) AS m
    FROM t JOIN u USING (g) WHERE (a IN ('x', 'y') OR b = 'z') AND c::varchar(3) = a AND g BETWEEN 1 AND 2 AND (a, b) IN (SELECT x, x FROM u)`,
  `CREATE VIEW w AS SELECT k, sum(g) FILTER (WHERE a IN ('m', 'n')) OVER (PARTITION BY a ORDER BY g ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM v`,
  `CREATE MATERIALIZED VIEW mv AS SELECT a FROM t WHERE a = ANY (ARRAY['x', 'y']) UNION SELECT x FROM u WHERE x IS NOT DISTINCT FROM 'a'`,
  `CREATE FUNCTION f(p int DEFAULT 3, VARIADIC q text[] DEFAULT '{}') RETURNS TABLE (o int) LANGUAGE plpgsql AS $$ BEGIN -- it's (
    RETURN QUERY SELECT 1; END $$`,
  `CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$`,
  `CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW WHEN (NEW.a IN ('a', 'b') AND OLD.g BETWEEN 1 AND 2 AND NEW.g > 3) EXECUTE FUNCTION tf()`,
  `CREATE RULE r AS ON DELETE TO w WHERE OLD.k IN (1, 2) DO INSTEAD NOTHING; CREATE RULE rest AS ON DELETE TO w DO INSTEAD NOTHING`,
  `CREATE POLICY p ON u USING (x::varchar IN ('a', 'b') AND g BETWEEN 1 AND 2 AND x <> 'c')`,
  `CREATE DOMAIN dom AS varchar(9) DEFAULT 'x  y' CHECK (VALUE IN ('x  y', 'b') OR VALUE ~ '^[(]')`,
  `CREATE TABLE gen (a varchar, s text GENERATED ALWAYS AS (CASE WHEN a IN ('a', 'b') THEN a || ' ' ELSE '' END) STORED)`,
  `CREATE TABLE part (a text, b timestamptz) PARTITION BY LIST (lower(a)); CREATE TABLE part1 PARTITION OF part FOR VALUES IN ('x', 'a b', NULL)`,
];
