import { describe, expect, it } from 'vitest';
import { toFailure } from '../../src/errors.ts';
import { parseJson } from '../../src/rules/json.ts';
import { withoutRows, withoutValue } from '../../src/rules/postgres-words.ts';

describe('what a tool of PostgreSQL says', () => {
  it('is kept without the rows and the statement that it shows, in whatever language its server speaks', () => {
    const said = [
      'pg_restore: error: COPY failed for table "tokens": ERROR:  duplicate key value violates unique constraint "tokens_token_key"',
      'DETAIL:  Key (token)=(marker) already exists.',
      'CONTEXT:  COPY tokens, line 1',
      'KONTEXT:  COPY tokens, Zeile 1: »marker«',
      'pg_restore: error: COPY failed for table "a": ERROR:  invalid input syntax for type integer: "marker',
      'marker: of a second line"',
      'pg_restore: error: COPY failed for table "a": FEHLER:  ungültige Eingabesyntax für Typ integer: »marker«',
      'pg_restore: detail: Command was: CREATE USER MAPPING FOR x SERVER y OPTIONS (password marker);',
      'Command was: ALTER ROLE x PASSWORD marker;',
      '',
    ].join('\n');
    const kept = withoutRows(said);
    expect(kept).not.toContain('marker');
    expect(kept).toContain('violates unique constraint "tokens_token_key"');
    expect(kept).toContain('invalid input syntax for type integer: (a value of a row)');
  });

  it('is kept whole where it shows none', () => {
    const said = [
      'pg_dump: error: connection to server on socket "/tmp/.s.PGSQL.5432" failed: FATAL:  role "x" does not exist',
      'pg_restore: error: could not open file "toc.dat": No such file or directory',
      'setpriv: setresuid failed: Operation not permitted',
    ].join('\n');
    expect(withoutRows(said)).toBe(said);
    expect(withoutValue('could not extend file "base/5/2619": No space left on device')).toContain('base/5/2619');
  });
});

describe('text that should have been JSON', () => {
  const texts = ['{"password": marker}', 'marker'.repeat(20), '{"a": 1, "b": "marker" marker marker}', '"marker'];
  it.each(texts)('is refused without an excerpt: %s', (text) => {
    const refused = (): unknown => parseJson(text, 'the answer');
    expect(refused).toThrow('the answer is not JSON');
    try {
      refused();
    } catch (error) {
      expect(toFailure(error).message).not.toContain('arker');
    }
  });
});
