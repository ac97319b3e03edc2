import { describe, expect, it } from 'vitest';
import {
  caPast,
  certificateChanges,
  certificatesSummary,
  crlMoment,
  revokedWithin,
  serialOf,
} from '../../src/rules/certificate-words.ts';
import { contentOf, readDropLine, type DropContent } from '../../src/rules/drop-line.ts';
import { fileLines, filesAfter } from '../../src/rules/files-words.ts';
import { componentOf, readNamedTime, timeId, treeName } from '../../src/rules/generation.ts';
import { tableLines, tablesSummary, type Generation } from '../../src/rules/history.ts';
import type { Manifest } from '../../src/rules/manifest.ts';
import { pickGeneration } from '../../src/rules/pick-generation.ts';

const epoch = (number: number) => ({ number, id: '00c0ffee00c0ffee' });
const drop = (number: number, sequence: number, stream = 'nc-dump'): Generation => ({
  ...{ component: componentOf(stream), stream, id: `${number}-${sequence}`, at: '2026-11-26T08:00:00Z' },
  ...{ place: { epoch: epoch(number), sequence }, outcome: 'applied' },
});
const kept = (id: string): Generation => ({
  ...{ component: 'nc', stream: 'nc-dump', id, at: '2026-11-26T08:00:00Z', outcome: 'kept' },
});
const content = (more: Partial<DropContent> = {}): DropContent => ({
  ...{ source: 'a', capturedAt: '2026-11-26T08:00:00Z', kind: 'delta', digest: 'd', files: [], deleted: [] },
  ...{ counts: { files: 0, deleted: 0 } },
  ...more,
});
const file = (path: string, sha256 = '0'.repeat(64), size = 1) => ({ path, size, sha256 });

describe('a generation that is typed', () => {
  const all = [
    ...[drop(2, 3), drop(2, 1), drop(1, 3), drop(1, 4), kept('20261126T080000'), kept('20261126T090000')],
    ...[drop(1, 1, 'db-dump.pe-rbac'), drop(1, 1, 'db-dump.pe-activity')],
  ];
  it.each([
    ['1-3', '1-3'],
    ['3', '2-3'],
    ['4', '1-4'],
    ['2.00c0ffee00c0ffee-1', '2-1'],
    ['20261126T09', '20261126T090000'],
  ])('%s is %s', (id, found) => {
    expect(pickGeneration(all, { id, component: 'nc' }).id).toBe(found);
  });

  it.each([
    ['5', 'there is no such generation'],
    ['20261126T0', 'several generations fit'],
    ['../../etc', 'there is no such generation'],
  ])('%s is refused: %s', (id, why) => {
    expect(() => pickGeneration(all, { id, component: 'nc' })).toThrow(why);
  });

  it('of several databases wants the name of one', () => {
    expect(() => pickGeneration(all, { id: '1-1', component: 'db' })).toThrow('--db NAME');
    expect(pickGeneration(all, { id: '1-1', component: 'db', database: 'pe-rbac' }).stream).toBe('db-dump.pe-rbac');
  });

  it('reads back what a kept one is called', () => {
    const at = new Date('2026-11-26T08:01:02.003Z');
    expect(readNamedTime(treeName(at, '3.00c0ffee00c0ffee-17'))).toEqual({
      ...{ at: at.toISOString(), before: '3.00c0ffee00c0ffee-17' },
    });
    expect(readNamedTime(treeName(at))).toEqual({ at: at.toISOString() });
    expect(timeId(at.toISOString())).toBe('20261126T080102');
    expect(readNamedTime('accepted.json')).toBeUndefined();
  });
});

describe('the line of a drop', () => {
  const manifest = {
    ...{ format: 1, stream: 'db-dump.pe-rbac', epoch: epoch(1), sequence: 1, source: 'a', target: 'b' },
    ...{ capturedAt: '2026-11-26T08:00:00Z', platform: 'pe', build: 'x', kind: 'whole', digest: 'd', needs: [] },
    ...{ files: [], deleted: [], detail: { tables: { roles: 3, odd: 'x' } } },
  } as unknown as Manifest;

  it('has the rows of a dump, and of files the first fifty', () => {
    expect(contentOf(manifest).tables).toEqual({ roles: 3 });
    const files = Array.from({ length: 60 }, (_, n) => file(`f${n}`)) as unknown as Manifest['files'];
    const { files: first, counts } = contentOf({ ...manifest, stream: 'sync-files', files });
    expect([first.length, counts.files]).toEqual([50, 60]);
  });

  it.each([
    '',
    '{',
    'null',
    '[]',
    '{"at":"x"}',
    '{"at":"x","epoch":{"number":1,"id":"00c0ffee00c0ffee"},"sequence":1}',
  ])('that is torn or of another version tells nothing: %s', (text) => expect(readDropLine(text)).toBeUndefined());
});

describe('certificates in words', () => {
  const lines = [
    '0x0005 2026-11-25T07:00:00UTC 2031-11-25T07:00:00UTC /CN=one',
    '0x0006 2026-11-25T07:30:00UTC 2031-11-25T07:30:00UTC /CN=two',
  ];
  const revokedAt = crlMoment('261126075900Z');
  const past = caPast(
    `${lines.join('\n')}\n`,
    new Map([
      [5n, revokedAt],
      [9n, revokedAt],
    ]),
  );
  const [from, to] = [Date.parse('2026-11-26T07:00:00Z'), Date.parse('2026-11-26T08:00:00Z')];

  it('reads both ways in which a CRL writes a date', () => {
    expect(crlMoment('261126075900Z')).toBe(crlMoment('20261126075900Z'));
    expect(crlMoment('whenever')).toBeNaN();
  });

  it('names who was signed, revoked and removed, each once', () => {
    const changes = certificateChanges(
      content({
        files: [file('signed/two.pem'), file('inventory.txt')],
        deleted: ['signed/one.pem', 'signed/old.pem'],
      }),
      { from, to },
      past,
    );
    expect(certificatesSummary(changes, { files: 2, deleted: 2 }, 'delta')).toBe(
      '1 certificate signed: two; 2 revoked: one, serial 0009; 1 removed: old',
    );
  });

  it('claims no number of what its line has in part', () => {
    const changes = { signed: ['a'], revoked: [], removed: [] };
    expect(certificatesSummary(changes, { files: 60, deleted: 0 }, 'delta')).toBe('at least 1 certificate signed: a');
    const whole = content({ kind: 'whole', files: [file('etc/a')], counts: { files: 60, deleted: 0 } });
    const before = [content({ files: [file('etc/b')] })];
    expect(fileLines(filesAfter(before), filesAfter([...before, whole]))).toEqual([
      '/etc/a came or changed (1 B, sha256 000000000000)',
    ]);
  });

  it('claims no revocation outside of its time, and no serial that the inventory lacks', () => {
    expect(revokedWithin(past, to, to + 1000)).toEqual([]);
    expect(serialOf(past, 'two', to)).toBe('serial 0006');
    expect(serialOf(past, 'three', to)).toBe('serial not in the inventory');
  });
});

describe('databases and files in words', () => {
  it('tells tables by their rows', () => {
    const [before, after] = [
      { subjects: 12, same: 1, gone: 2 },
      { subjects: 13, same: 1, fresh: 1 },
    ];
    expect(tableLines(before, after)).toEqual([
      'table fresh added, 1 row',
      'table gone removed, it had 2 rows',
      'subjects 12 -> 13 rows',
    ]);
    expect(tablesSummary(before, before)).toBe('as many rows in each table; contents differ');
    expect(tablesSummary(undefined, undefined)).toBe('what it held is not known here');
  });

  it('tells files by path, size and digest', () => {
    const before = filesAfter([content({ files: [file('etc/a', 'a'.repeat(64)), file('etc/b')] })]);
    const after = filesAfter([
      content({ files: [file('etc/a', 'a'.repeat(64)), file('etc/b')] }),
      content({ files: [file('etc/a', 'b'.repeat(64), 2), file('etc/c')], deleted: ['etc/b'] }),
    ]);
    expect(fileLines(before, after)).toEqual([
      '/etc/a 1 B, sha256 aaaaaaaaaaaa -> 2 B, sha256 bbbbbbbbbbbb',
      '/etc/b went (1 B, sha256 000000000000)',
      '/etc/c came or changed (1 B, sha256 000000000000)',
    ]);
  });
});
