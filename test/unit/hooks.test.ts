import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  enqueue,
  hookEvents,
  hookSamples,
  hookWarning,
  judgeHook,
  judgeHookDirectory,
  maxWaiting,
  queueOf,
  shortLines,
  type FoundHook,
  type Happening,
} from '../../src/rules/hooks.ts';

const file: FoundHook = { path: '/h/promoted/10-dns', kind: 'file', mode: 0o100_755, uid: 0 };
const judged = (found: Partial<FoundHook>, name = '10-dns') => judgeHook(name, { ...file, ...found }, [0]);

describe('a file in the directory of an event', () => {
  it.each(['10-dns', 'A_b', '0'])('named %s is run when it is root’s executable', (name) => {
    expect(judged({}, name)).toEqual({ is: 'good' });
  });

  it.each(['10-dns.sample', 'README.md', '.hidden', '10-dns~', '10 dns', 'a.dpkg-new', ''])(
    'named "%s" is left alone',
    (name) => {
      expect(judged({}, name)).toMatchObject({ is: 'off' });
    },
  );

  it.each([
    ['that is not executable', { mode: 0o100_644 }],
    ['that is a directory', { kind: 'directory' as const }],
  ])('%s is left alone', (_, found) => {
    expect(judged(found)).toMatchObject({ is: 'off' });
  });

  it.each([
    ['that belongs to another', { uid: 1000 }, 'chown 0 /h/promoted/10-dns'],
    ['that its group may write', { mode: 0o100_775 }, 'chmod go-w /h/promoted/10-dns'],
    ['that everybody may write', { mode: 0o100_757 }, 'chmod go-w /h/promoted/10-dns'],
    ['that is a link', { kind: 'link' as const, mode: 0o120_777 }, 'cp --remove-destination'],
    ['that is a pipe', { kind: 'other' as const }, 'rm /h/promoted/10-dns'],
  ])('%s is refused, with what to type', (_, found, hint) => {
    expect(judged(found)).toMatchObject({ is: 'refused', hint: expect.stringContaining(hint) as string });
  });

  it.each([
    ['of another user', { uid: 7 }],
    ['that others may write', { mode: 0o40_777 }],
    ['that is a link', { kind: 'link' as const }],
  ])('lies in no directory %s', (_, found) => {
    const directory = { path: '/h', kind: 'directory' as const, mode: 0o40_700, uid: 0 };
    expect(judgeHookDirectory(directory, [0])).toEqual({ is: 'good' });
    expect(judgeHookDirectory({ ...directory, ...found }, [0])).toMatchObject({ is: 'refused' });
  });
});

describe('what waits for its turn', () => {
  const failure = (text: string): Happening => ({ event: 'failure', text, fields: { job: 'sync-certs' } });
  const applied = (stream: string, sequence: number): Happening => ({
    event: 'applied',
    text: `${sequence}`,
    fields: { stream, drop: { epoch: '1.a', sequence }, why: '' },
  });
  const role = (event: 'promoted' | 'demoted'): Happening => ({ event, text: event, fields: { why: '' } });
  const after = (...all: Happening[]): string[] =>
    all.reduce<readonly Happening[]>((waiting, next) => enqueue(waiting, next).waiting, []).map(({ text }) => text);

  it('keeps failures in their order, and gives up the oldest of too many, counting them', () => {
    expect(after(failure('one'), failure('two'))).toEqual(['one', 'two']);
    const full = Array.from({ length: maxWaiting }, (_, n) => failure(String(n)));
    const { waiting, lost } = enqueue(full, failure('last'));
    expect(waiting.map(({ text }) => text)).toEqual([...full.slice(1).map(({ text }) => text), 'last']);
    expect(lost).toBe(1);
  });

  it('is the newest drop of each stream', () => {
    expect(after(applied('sync-certs', 1), applied('sync-files', 2), applied('sync-certs', 3))).toEqual(['2', '3']);
  });

  it('is the newest change of roles alone: the address must not come here when the master is a spare again', () => {
    expect(after(role('promoted'), role('demoted'))).toEqual(['demoted']);
    expect(queueOf('promoted')).toBe(queueOf('demoted'));
  });
});

it('a failed hook is told by its name, its end, its first complaint and what to type', () => {
  const end = { name: 'promoted/10-dns', failed: 'failed with exit code 2', said: [], elapsedMs: 5 };
  expect(hookWarning('promoted', { ...end, complained: ['no such zone', 'more'] })).toBe(
    'Hook promoted/10-dns failed with exit code 2: no such zone. It is not run again by itself. To try it, type: pe-failover hooks --try promoted',
  );
});

it('of what a hook prints a few lines are kept, each cut', () => {
  expect(shortLines(`\na\r\n\n${'b'.repeat(600)}\nc\nd\ne\nf`)).toEqual(['a', `${'b'.repeat(500)} ...`, 'c', 'd', 'e']);
});

describe('docs/formats.md', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/formats.md'), 'utf8');
  const section = text.split('\n## Hooks\n')[1]?.split('\n## ')[0] ?? '';
  const rows = [...section.matchAll(/^\| `([a-z-]+)` \| [^|`]+ \| [^|]+ \| ([^|]+) \|$/gm)];

  it('has each event of hooks, with its further fields', () => {
    const documented = Object.fromEntries(
      rows.map(([, event = '', fields = '']): [string, unknown] => [
        event,
        [...fields.replace(/\{[^}]*\}/g, '').matchAll(/`([A-Za-z]+)`/g)].map(([, field]) => field),
      ]),
    );
    const samples = Object.fromEntries(
      hookEvents.map((event): [string, unknown] => [event, Object.keys(hookSamples[event].fields)]),
    );
    expect(documented).toEqual(samples);
  });

  it('and docs/operate.md name the same events', () => {
    const operate = readFileSync(join(import.meta.dirname, '../../docs/operate.md'), 'utf8');
    const list = /a directory for each event: ([^.]+)\./.exec(operate)?.[1] ?? '';
    expect([...list.matchAll(/`([a-z-]+)`/g)].map(([, event]) => event)).toEqual(hookEvents);
  });
});
