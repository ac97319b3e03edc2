import { describe, expect, it } from 'vitest';
import {
  isExcused,
  jobsToPause,
  parseToldPauses,
  pauseOfStream,
  readPauseLength,
  spokenPauses,
  standingPauses,
  toldPauses,
  withPauses,
  type Pause,
} from '../../src/rules/pause.ts';

const at = (hours: number): Date => new Date(Date.UTC(2026, 10, 26, hours));
const pause = (job: string, from = 10, until = 12): Pause => ({
  ...{ job, at: at(from).toISOString(), until: at(until).toISOString() },
  ...{ by: 'alice', reason: 'PE upgrade' },
});

describe('a pause', () => {
  it.each(['30m', '2h', '7d'])('may last %s', (text) => {
    expect(readPauseLength(text)).toBeGreaterThan(0);
  });

  it.each(['', '0h', '8d', '2', '2w', '-1h', '1.5h'])('may not last "%s"', (text) => {
    expect(() => readPauseLength(text)).toThrow('--for wants a time');
  });

  it('ends at its end, and where the clock was set back before its beginning or by more than any may last', () => {
    const standing = (hours: number, one = pause('nc-dump')): number => standingPauses([one], at(hours)).length;
    expect([9, 10, 11.9, 12, 40].map((hours) => standing(hours))).toEqual([0, 1, 1, 0, 0]);
    expect(standing(11, pause('nc-dump', 10, 10 + 8 * 24))).toBe(0);
  });

  it('is of the jobs that were named, never of what tells who is there', () => {
    const jobs = ['sync-certs', 'nc-dump'];
    expect(jobsToPause([], true, [...jobs, 'greet-spare'])).toEqual(jobs);
    expect(jobsToPause(['nc-dump', 'nc-dump'], false, jobs)).toEqual(['nc-dump']);
    for (const wrong of [['greet-spare'], ['restore-nc'], ['NC-DUMP']])
      expect(() => jobsToPause(wrong, false, [...jobs, 'greet-spare'])).toThrow('there is no such job here');
    expect(() => jobsToPause([], false, jobs)).toThrow('name the jobs, or say --all');
    expect(() => jobsToPause(['nc-dump'], true, jobs)).toThrow('name the jobs, or say --all');
  });

  it('of a job takes the place of the one before', () => {
    const [one, other] = [pause('nc-dump'), pause('db-dump')];
    expect(withPauses([one, other], [pause('nc-dump', 11, 20)])).toEqual([other, pause('nc-dump', 11, 20)]);
  });

  it('is told with how long it goes on, because clocks differ, and never lasts longer there than any may', () => {
    const told = toldPauses([pause('db-dump')], at(11));
    expect(told).toEqual([{ job: 'db-dump', by: 'alice', reason: 'PE upgrade', forMs: 3_600_000 }]);
    const said = at(3).toISOString();
    const parsed = parseToldPauses({ at: said, pauses: told }, at(20));
    expect(parsed).toEqual({ pauses: [pause('db-dump', 20, 21)], toldAt: said });
    const { pauses: long } = parseToldPauses({ at: said, pauses: [{ ...told[0], forMs: 1e15 }] }, at(0));
    expect(long[0]?.until).toBe(at(7 * 24).toISOString());
    for (const bad of [
      {},
      { pauses: [] },
      { at: said, pauses: [{ ...told[0], forMs: 0 }] },
      { at: said, pauses: [{ ...told[0], job: '../x' }] },
    ])
      expect(() => parseToldPauses(bad, at(0))).toThrow('order refused');
  });

  it('is that of a stream, on whichever side it was typed', () => {
    expect(pauseOfStream([pause('db-dump')], 'db-dump.pe-rbac')?.job).toBe('db-dump');
    expect(pauseOfStream([pause('restore-dbs')], 'db-dump.pe-rbac')?.job).toBe('restore-dbs');
    expect(pauseOfStream([pause('update-passive-ca')], 'sync-certs')?.job).toBe('update-passive-ca');
    expect(pauseOfStream([pause('sync-files')], 'sync-certs')).toBeUndefined();
  });

  it('excuses silence for a day', () => {
    const long = pause('sync-certs', 0, 7 * 24);
    expect([1, 23, 25].map((hours) => isExcused(long, at(hours)))).toEqual([true, true, false]);
  });

  it('of several jobs is said with the end of the last', () => {
    expect(spokenPauses([pause('nc-dump', 10, 13), pause('db-dump')])).toBe(
      'paused until 2026-11-26T13:00:00.000Z by alice: PE upgrade (nc-dump, db-dump)',
    );
    expect(spokenPauses([])).toBeUndefined();
  });
});
