import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exitCodes, type ErrorClass } from '../../src/errors.ts';
import {
  ask,
  backOffMs,
  begin,
  dueAt,
  emptyPlan,
  fires,
  nextOnGrid,
  retryLater,
  succeed,
} from '../../src/rules/schedule.ts';
import type { Changed, Plan } from '../../src/rules/schedule.ts';

const hint = (changed: Changed, at = 0) => ({ cause: 'watch', changed, dueAt: at, urgent: false });

describe('back-off', () => {
  const series = (why: ErrorClass): (number | undefined)[] => [0, 1, 2, 3, 9, 2000].map((n) => backOffMs(why, n));

  it('goes from 1 s to 2 s where the peer is unreachable, to 60 s where a dependency fails', () => {
    expect(series('unreachable')).toEqual([1000, 2000, 2000, 2000, 2000, 2000]);
    expect(series('dependency')).toEqual([1000, 2000, 4000, 8000, 60_000, 60_000]);
  });

  it('never comes to an end, but for a latched refusal', () => {
    for (const why of Object.keys(exitCodes) as ErrorClass[]) {
      if (why === 'latched') expect(backOffMs(why, 0)).toBeUndefined();
      else expect(series(why).every((ms) => ms !== undefined && ms >= 1000 && ms <= 600_000)).toBe(true);
    }
  });
});

describe('a plan', () => {
  it('makes one pass of many hints, with all their names, due when the first one is', () => {
    const plan = [hint(new Set(['a']), 20), hint(new Set(['b']), 30), hint(new Set(['a']), 40)].reduce(ask, emptyPlan);
    expect(plan.pending).toMatchObject({ changed: new Set(['a', 'b']), dueAt: 20 });
  });

  it('compares everything once events were lost, whatever names follow', () => {
    const plan = [hint(new Set(['a'])), hint('everything'), hint(new Set(['b']))].reduce(ask, emptyPlan);
    expect(plan.pending?.changed).toBe('everything');
  });

  it('starts nothing while a pass runs, and one pass for all that came meanwhile', () => {
    const running = ask(begin(ask(emptyPlan, hint(new Set(['a'])))), hint(new Set(['b'])));
    expect(dueAt(running)).toBeUndefined();
    expect(succeed(running).pending?.changed).toEqual(new Set(['b']));
  });

  it('keeps the names of a failed pass and adds what came meanwhile', () => {
    const running = ask(begin(ask(emptyPlan, hint(new Set(['a'])))), hint(new Set(['b']), 5));
    const plan = retryLater(running, 'unreachable', 100);
    expect(plan.pending?.changed).toEqual(new Set(['a', 'b']));
    expect(dueAt(plan)).toBe(1100);
  });

  it('holds hints back during a back-off, but not a person', () => {
    const plan = retryLater(begin(ask(emptyPlan, hint('everything'))), 'dependency', 0);
    expect(dueAt(ask(plan, hint(new Set(['a']), 10)))).toBe(1000);
    expect(dueAt(ask(plan, { cause: 'by hand', changed: 'everything', dueAt: 10, urgent: true }))).toBe(10);
  });

  it.each(['cron', 'promotion'])('that waits to be retried does not lose that it is asked for by %s', (cause) => {
    const plan = retryLater(begin(ask(emptyPlan, hint('everything'))), 'config', 0);
    const asked = ask(plan, { cause, changed: 'everything', dueAt: 10, urgent: false });
    expect(asked.pending?.cause).toBe(cause);
    expect(ask(asked, hint('everything')).pending?.cause).toBe(cause);
  });

  it('never loses a name before a pass that saw it has succeeded', () => {
    const action = fc.oneof(
      fc.constantFrom('a', 'b', 'c', 'd').map((name) => ({ do: 'hint' as const, name })),
      fc.constantFrom('begin' as const, 'succeed' as const, 'fail' as const).map((what) => ({ do: what, name: '' })),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
        let plan: Plan = emptyPlan;
        const owed = new Set<string>();
        for (const { do: what, name } of actions) {
          if (what === 'hint') {
            plan = ask(plan, hint(new Set([name])));
            owed.add(name);
          } else if (what === 'begin' && dueAt(plan) !== undefined) plan = begin(plan);
          else if (what === 'fail' && plan.running) plan = retryLater(plan, 'dependency', 0);
          else if (what === 'succeed' && plan.running) {
            const { running } = plan;
            plan = succeed(plan);
            const kept = plan.pending?.changed ?? new Set();
            for (const seen of running.changed) if (kept !== 'everything' && !kept.has(seen)) owed.delete(seen);
          }
          const known = [plan.pending?.changed, plan.running?.changed].flatMap((set) =>
            set === undefined ? [] : [...set],
          );
          for (const each of owed) expect(known).toContain(each);
        }
      }),
    );
  });
});

describe('time', () => {
  it('catches up with one pass after a late loop', () => {
    expect(nextOnGrid(1000, 300, 999)).toBe(1000);
    expect(nextOnGrid(1000, 300, 1000)).toBe(1300);
    expect(nextOnGrid(1000, 300, 5000)).toBe(5200);
  });

  it('does not take a cron minute for new because the clock was put back', () => {
    const minute = 60_000;
    const first = fires(undefined, 600 * minute, 0);
    expect(fires(first, 600 * minute + 5, 5)).toBeUndefined();
    expect(fires(first, 560 * minute, 20 * minute)).toBeUndefined();
    expect(fires(first, 660 * minute, 60 * minute)).toMatchObject({ gap: 60 * minute });
    expect(fires(first, 540 * minute, 60 * minute)).toBeDefined(); // an hour went by, whatever the wall says
    expect(fires(fires(first, 601 * minute, minute), 500 * minute, 2 * minute)).toBeDefined(); // a job of each minute
  });

  it('keeps to the seconds of an expression that names them', () => {
    const first = fires(undefined, 600_000, 0, 1_000);
    expect(fires(first, 600_400, 400, 1_000)).toBeUndefined();
    expect(fires(first, 603_000, 3_000, 1_000)).toMatchObject({ gap: 3_000 });
  });
});
