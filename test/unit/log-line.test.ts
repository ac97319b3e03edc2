import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { logLine, maxLineBytes, withPriority } from '../../src/rules/log-line.ts';

describe('a log line', () => {
  it('has the words of the original, byte for byte', () => {
    const line = logLine('restore-dbs', 'SUCCESS', 'Attempting to start service pe-puppetserver...');
    expect(line).toBe('PE_FAILOVER: restore_dbs.sh ---> [SUCCESS] Attempting to start service pe-puppetserver...');
  });

  it('carries user.info, user.warning and user.err in front', () => {
    expect([withPriority('SUCCESS', 'x'), withPriority('WARNING', 'x'), withPriority('FAILURE', 'x')]).toEqual([
      '<14>x',
      '<12>x',
      '<11>x',
    ]);
  });

  it('escapes what would forge a second line or paint a terminal', () => {
    const line = logLine('sync-certs', 'WARNING', 'a\nPE_FAILOVER: b\r\t\u0000\u001b[31m\u0085\u2028\u202e\ud800');
    expect(line).toBe(
      'PE_FAILOVER: sync_certs.sh ---> [WARNING] a\\nPE_FAILOVER: b\\r\\t\\x00\\x1b[31m\\x85\\u2028\\u202e\ufffd',
    );
  });

  it('is cut at 8 kB on a whole character', () => {
    for (const pad of ['', 'a', 'ab', 'abc']) {
      const line = logLine('sync-certs', 'FAILURE', pad + '\u{1f512}'.repeat(4000));
      expect(Buffer.byteLength(line)).toBeLessThanOrEqual(maxLineBytes);
      expect(Buffer.byteLength(line)).toBeGreaterThan(maxLineBytes - 4);
      expect(line).toMatch(/^[^\ufffd]*\u{1f512} \.\.\.$/u);
    }
  });

  it('is one printable line of at most 8 kB, whatever the text', () => {
    const text = fc.string({ unit: 'binary', maxLength: 9000 });
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 20 }), text, (job, said) => {
        const line = logLine(job, 'FAILURE', said);
        expect(Buffer.byteLength(line)).toBeLessThanOrEqual(maxLineBytes);
        // eslint-disable-next-line no-control-regex
        expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
        expect(line.isWellFormed()).toBe(true);
      }),
    );
  });
});
