import { describe, expect, test } from 'vitest';
import { expiredSerials, missingLines } from '../../src/rules/inventory.ts';
import { overlapSentence, serialOverlaps } from '../../src/rules/serial-overlaps.ts';

const year = (serial: string, from: number, name: string): string =>
  `0x${serial} ${from}-01-01T00:00:00UTC ${from + 1}-01-01T00:00:00UTC /CN=${name}`;
const now = new Date('2026-06-01T00:00:00Z');
const inventory = `${year('0005', 2026, 'a.lab')}\n${year('0009', 2026, 'last.lab')}\n`;
const issued = (serial: bigint, name: string, from = 2026) => ({
  serial,
  name,
  notBefore: `${from}-01-01T00:00:00.000Z`,
  notAfter: `${from + 1}-01-01T00:00:00.000Z`,
});

describe('a serial that was given out twice', () => {
  test.each([
    ['to another name', [year('0005', 2026, 'b.lab')], 1],
    ['to the same name at another time', ['0x0005 2026-03-01T00:00:00UTC 2027-03-01T00:00:00UTC /CN=a.lab'], 1],
    ['by two lines that come together', [year('000A', 2026, 'b.lab'), year('0A', 2026, 'c.lab')], 1],
    ['is none where it is the same certificate, written otherwise', [year('5', 2026, 'a.lab')], 0],
    ['is none where the older one has ended', [year('0007', 2026, 'b.lab')], 0],
    ['is none where the newer one has ended', [year('0005', 2020, 'b.lab')], 0],
  ])('%s', (_title, lines, count) => {
    const known = `${inventory}${year('0007', 2020, 'old.lab')}\n`;
    expect(serialOverlaps(known, missingLines(known, lines), [], now)).toHaveLength(count);
  });

  test('is told of a certificate that has no line of its own', () => {
    const found = serialOverlaps(
      inventory,
      [],
      [issued(5n, 'b.lab'), issued(9n, 'last.lab'), issued(77n, 'new.lab')],
      now,
    );
    expect(found.map(({ known, other }) => [known.name, other.name])).toEqual([['a.lab', 'b.lab']]);
  });

  test('is said once of a line and its certificate, with serial, both names, and the number to write', () => {
    const found = serialOverlaps(inventory, [year('0005', 2026, 'b.lab')], [issued(5n, 'b.lab')], now);
    expect(found).toHaveLength(1);
    expect(overlapSentence(found)).toMatch(/0x0005 of a\.lab .* given to b\.lab .* write 000A into "serial"/);
  });

  test('is above what is no counter, too: nothing counts up from that', () => {
    const known = `${inventory}${year('F'.repeat(32), 2026, 'uuid.lab')}\n`;
    expect(serialOverlaps(known, [year('0005', 2026, 'b.lab')], [], now)[0]?.raiseTo).toBe(10n);
  });

  test('is found in a whole inventory of thousands of lines, too, where all others are there to the letter', () => {
    const many = Array.from({ length: 3000 }, (_, n) => year((n + 1).toString(16), 2026, `n${n + 1}.lab`));
    const [again, other] = [year('0007', 2026, 'n7.lab'), year('7', 2026, 'other.lab')];
    expect(missingLines(`${many.join('\n')}\n`, [...many, again, other])).toEqual([other]);
  });

  test('stays revoked until both have ended', () => {
    const both = `${year('0005', 2020, 'a.lab')}\n${inventory}`;
    expect([expiredSerials(both, now)(5n), expiredSerials(`${year('0005', 2020, 'a.lab')}\n`, now)(5n)]).toEqual([
      false,
      true,
    ]);
  });
});
