import { describe, expect, it } from 'vitest';
import { Failure } from '../../src/errors.ts';
import type { Trigger } from '../../src/jobs/job.ts';
import { settle } from '../helpers/hand-clock.ts';
import { createBench, createRecordedJob, done } from '../helpers/scheduler-bench.ts';

const watchSigned: Trigger = { kind: 'watch', paths: ['/ca/signed'] };
const everyFive: Trigger = { kind: 'every', ms: 300_000 };
const away = new Failure('unreachable', 'masterb is away');

async function begin(triggers: readonly Trigger[], extra = {}) {
  const recorded = createRecordedJob('sync-certs', triggers, extra);
  const bench = createBench([recorded.job]);
  await bench.scheduler.start(bench.session.signal);
  await settle();
  const hint = (...names: string[]): void => bench.watches.get('/ca/signed')?.changed(new Set(names));
  return { ...bench, ...recorded, hint };
}

describe('the scheduler', () => {
  it('runs a pass at start, and then at each interval', async () => {
    const { passes, results, clock } = await begin([{ kind: 'start' }, everyFive]);
    expect(passes.map((pass) => pass.cause)).toEqual(['start']);
    results.push(done, done);
    await clock.advance(1);
    expect(passes).toHaveLength(1);
  });

  it('keeps the grid of an interval, also when a pass was late', async () => {
    const { passes, end, clock } = await begin([everyFive]);
    await clock.advance(300_000);
    expect(passes).toHaveLength(1);
    await clock.advance(50_000);
    end();
    await clock.advance(249_999);
    expect(passes).toHaveLength(1);
    await clock.advance(1);
    expect(passes).toHaveLength(2);
  });

  it('makes no pass of a job that is paused, keeps what was hinted, and forgets what its minute would have permitted', async () => {
    const pauses: { why?: string | undefined } = { why: 'paused until noon by alice: upgrade' };
    const recorded = createRecordedJob('restore-dbs', [watchSigned]);
    const bench = createBench([recorded.job], { paused: () => Promise.resolve(pauses.why) });
    await bench.scheduler.start(bench.session.signal);
    bench.watches.get('/ca/signed')?.changed(new Set(['a.pem']));
    await expect(bench.scheduler.trigger('restore-dbs')).rejects.toThrow(
      'restore-dbs does not run: paused until noon by alice: upgrade. Type: pe-failover resume restore-dbs',
    );
    await bench.clock.advance(3_600_000);
    expect(recorded.passes).toEqual([]);
    expect(bench.scheduler.snapshot()).toMatchObject([{ state: 'paused', why: pauses.why }]);
    expect(bench.events).toEqual([]);
    delete pauses.why;
    recorded.results.push(done);
    await bench.clock.advance(15_000);
    expect(recorded.passes.map(({ cause }) => cause)).toEqual(['retry']);
    expect(bench.scheduler.snapshot()).toMatchObject([{ state: 'idle' }]);
  });

  it('runs nothing while it cannot be told what is paused, says so, and goes on when it can', async () => {
    let torn = true;
    const recorded = createRecordedJob('sync-certs', [{ kind: 'start' }]);
    const bench = createBench([recorded.job], {
      paused: () => (torn ? Promise.reject(new Failure('config', 'pause.json is torn')) : Promise.resolve(undefined)),
    });
    await bench.scheduler.start(bench.session.signal);
    await settle();
    expect([recorded.passes, bench.said]).toEqual([[], ['sync-certs failed pause.json is torn']]);
    torn = false;
    recorded.results.push(done);
    await bench.clock.advance(15_000);
    expect(recorded.passes).toHaveLength(1);
  });

  it('has a pass that is paused end at its next safe point, and aborts it half a minute later', async () => {
    const { passes, clock, scheduler } = await begin([{ kind: 'start' }]);
    let left: readonly string[] | undefined;
    void scheduler.pause(['sync-certs']).then((jobs) => (left = jobs));
    await settle();
    expect([passes[0]?.leaving?.aborted, passes[0]?.signal.aborted]).toEqual([true, false]);
    await clock.advance(30_000);
    expect(passes[0]?.signal.aborted).toBe(true);
    await clock.advance(30_000); // it does not heed that
    expect(left).toEqual(['sync-certs']);
  });

  it('makes few passes of a burst, and hands on every name', async () => {
    const { passes, results, hint, clock } = await begin([watchSigned], { settleMs: 20 });
    results.push(done, done, done);
    for (let n = 0; n < 500; n += 1) {
      hint(`/ca/signed/${n}.pem`);
      if (n === 250) await clock.advance(20);
    }
    await clock.advance(1000);
    expect(passes).toHaveLength(2);
    expect(passes.flatMap((pass) => [...(pass.changed ?? [])])).toHaveLength(500);
  });

  it('gives a pass with nothing hinted to a job that is woken, and none to one that does not run here', async () => {
    const { passes, results, scheduler, clock } = await begin([watchSigned]);
    results.push(done);
    scheduler.wake('sync-certs');
    scheduler.wake('restore-nc');
    await clock.advance(1);
    expect(passes.map(({ cause, changed }) => [cause, changed])).toEqual([['word', new Set()]]);
  });

  it('never runs two passes at once, and one more for what came during a pass', async () => {
    const { passes, hint, scheduler, end, most } = await begin([watchSigned, everyFive]);
    hint('/ca/signed/a.pem');
    await settle();
    hint('/ca/signed/b.pem');
    hint('/ca/signed/c.pem');
    const byHand = scheduler.trigger('sync-certs');
    await settle();
    expect(passes).toHaveLength(1);
    end();
    await settle();
    expect(passes).toHaveLength(2);
    expect(passes[1]).toMatchObject({ cause: 'by hand' });
    expect(passes[1]?.changed).toBeUndefined();
    end({ kind: 'unchanged', why: 'equal' });
    await expect(byHand).resolves.toEqual({ kind: 'unchanged', why: 'equal' });
    await settle();
    expect([passes.length, most()]).toEqual([2, 1]);
  });

  it('tries a failed pass again until it is shipped, with the names it began with and those since', async () => {
    const { passes, results, hint, clock, said } = await begin([watchSigned, everyFive]);
    results.push(away, away, away, done);
    hint('/ca/signed/a.pem');
    await clock.advance(500);
    hint('/ca/signed/b.pem');
    await clock.advance(6500);
    expect(passes.map((pass) => [pass.cause, [...(pass.changed ?? [])].sort().join()])).toEqual([
      ['watch', '/ca/signed/a.pem'],
      ['retry', '/ca/signed/a.pem,/ca/signed/b.pem'],
      ['retry', '/ca/signed/a.pem,/ca/signed/b.pem'],
      ['retry', '/ca/signed/a.pem,/ca/signed/b.pem'],
    ]);
    expect(said).toEqual([...Array<string>(3).fill('sync-certs failed masterb is away'), 'sync-certs worked']);
  });

  it('compares everything at the interval, so that a hint nobody got is repaired', async () => {
    const { passes, results, clock } = await begin([watchSigned, everyFive]);
    results.push(done);
    await clock.advance(300_000);
    expect(passes).toHaveLength(1);
    expect(passes[0]?.changed).toBeUndefined();
  });

  it('compares everything when the watch says that events were lost', async () => {
    const { passes, results, hint, watches } = await begin([watchSigned]);
    results.push(done);
    hint('/ca/signed/a.pem');
    watches.get('/ca/signed')?.lost('over 2000 events', 'events');
    await settle();
    expect(passes.map((pass) => pass.changed)).toEqual([undefined]);
  });

  it('says nothing of what is gone for a moment, and waits for nothing when it is there again', async () => {
    const { passes, results, hint, watches, clock } = await begin([watchSigned]);
    results.push(done, new Failure('config', 'there is no CA here'), done);
    watches.get('/ca/signed')?.lost('it was removed', 'gone');
    await clock.advance(500);
    expect(passes).toEqual([]);
    watches.get('/ca/signed')?.lost('it is watched anew', 'anew');
    await settle();
    expect(passes).toHaveLength(1);
    hint('/ca/signed/a.pem');
    await settle();
    await clock.advance(2_000);
    expect(passes).toHaveLength(2); // it failed, and waits for a person
    watches.get('/ca/signed')?.lost('it is watched anew', 'anew');
    await settle();
    expect(passes).toHaveLength(3);
  });

  it('does not run a cron job twice when the clock goes back, and not never when it goes forth', async () => {
    const { passes, clock, results } = await begin([{ kind: 'cron', expression: '10 * * * *' }]);
    results.push(...Array<typeof done>(20).fill(done));
    await clock.advance(11 * 60_000);
    expect(passes).toHaveLength(1);
    clock.setWall('2026-11-21T00:05:00Z');
    await clock.advance(10 * 60_000);
    expect(passes).toHaveLength(1);
    await clock.advance(60 * 60_000);
    expect(passes).toHaveLength(2);
    clock.setWall('2026-11-21T07:09:00Z');
    await clock.advance(2 * 60_000);
    expect(passes).toHaveLength(3);
  });

  it('tries again soon when a job waits for a lock, without calling it a failure', async () => {
    const { passes, results, said, scheduler, clock } = await begin([{ kind: 'start' }]);
    expect(passes).toHaveLength(1);
    const next = await begin([watchSigned]);
    next.results.push({ kind: 'waiting', why: 'the lock is held by pid 42' }, done);
    next.hint('/ca/signed/a.pem');
    await settle();
    expect(next.scheduler.snapshot()[0]).toMatchObject({ state: 'retrying', last: { kind: 'waiting' } });
    await next.clock.advance(1000);
    expect(next.passes).toHaveLength(2);
    expect(next.passes[1]?.changed).toEqual(new Set(['/ca/signed/a.pem']));
    expect(next.said).toEqual(['sync-certs worked']);
    expect([results.length, said.length, clock.monotonic(), scheduler.snapshot()[0]?.state]).toEqual([
      0,
      0,
      0,
      'running',
    ]);
  });

  it('stops a job that was refused for a higher epoch, and says so to whoever asks', async () => {
    const { passes, results, hint, clock, scheduler } = await begin([watchSigned, everyFive]);
    results.push(new Failure('latched', 'masterb has epoch 8, ours is 7'));
    hint('/ca/signed/a.pem');
    await clock.advance(3_600_000);
    expect(passes).toHaveLength(1);
    expect(scheduler.snapshot()[0]).toMatchObject({ state: 'latched', why: 'masterb has epoch 8, ours is 7' });
    await expect(scheduler.trigger('sync-certs')).rejects.toMatchObject({ class: 'latched' });
  });

  it('ends a pass that takes too long, and says which option would allow it', async () => {
    const ignoring = (context: { signal: AbortSignal }) =>
      new Promise<never>((_resolve, reject) => context.signal.addEventListener('abort', () => reject(new Error('x'))));
    const { clock, said, scheduler } = await begin([{ kind: 'start' }], { run: ignoring });
    await clock.advance(60_000);
    expect(said[0]).toContain('sync-certs was ended: it did not end within 1 min. Raise jobs.sync_certs.timeout');
    expect(scheduler.snapshot()[0]?.last).toMatchObject({ kind: 'failed', class: 'dependency' });
  });

  it('never starts a second pass beside one that does not heed its deadline', async () => {
    let passes = 0;
    const deaf = (): Promise<never> => {
      passes += 1;
      return new Promise<never>(() => undefined);
    };
    const { clock, scheduler, said } = await begin([{ kind: 'start' }, everyFive], { run: deaf });
    await clock.advance(900_000);
    expect(passes).toBe(1);
    expect(scheduler.snapshot()[0]?.why).toContain('told to end');
    let drained = false;
    void scheduler.drain(1000).then(() => (drained = true));
    await clock.advance(20_000);
    expect(said.at(-1)).toContain('sync-certs does not end when told to');
    expect(drained).toBe(false);
  });

  it('lets running work end when it drains, and starts nothing more', async () => {
    const { passes, end, hint, scheduler, clock } = await begin([{ kind: 'start' }, watchSigned]);
    hint('/ca/signed/a.pem');
    const drained = scheduler.drain(60_000);
    await clock.advance(1000);
    expect(passes[0]?.signal.aborted).toBe(false);
    end();
    await drained;
    await clock.advance(3_600_000);
    expect(passes).toHaveLength(1);
    await expect(scheduler.trigger('sync-certs')).rejects.toMatchObject({ class: 'interrupted' });
  });

  it('ends everything at once with the session, and leaves nobody waiting', async () => {
    const untilAbort = (context: { signal: AbortSignal }) =>
      new Promise<never>((_r, reject) =>
        context.signal.addEventListener('abort', () => reject(context.signal.reason as Error)),
      );
    const { session, scheduler, said } = await begin([{ kind: 'start' }], { run: untilAbort });
    const waiting = scheduler.trigger('sync-certs');
    const refused = expect(waiting).rejects.toMatchObject({ class: 'interrupted' });
    session.abort();
    await refused;
    expect(said).toEqual([]);
    await scheduler.drain(0);
  });

  it('tells each pass in events, and why a job is idle', async () => {
    const { results, hint, events, scheduler } = await begin([watchSigned, everyFive]);
    results.push({ ...done, detail: { sequence: 7 } });
    hint('/ca/signed/a.pem');
    await settle();
    expect(events).toMatchObject([
      { event: 'start', epoch: '1.0123456789abcdef', detail: { cause: 'watch', changed: 1 } },
      { event: 'finished', ok: true, sequence: 7, why: 'applied there' },
    ]);
    expect(scheduler.snapshot()[0]).toMatchObject({
      state: 'idle',
      why: 'waits for a change, its interval of 5 min, next in 5 min',
      last: { kind: 'done', why: 'applied there' },
    });
  });

  it('refuses a job of the other role, naming those of this one', async () => {
    const { scheduler } = await begin([]);
    await expect(scheduler.trigger('restore-dbs')).rejects.toThrow('this role runs sync-certs');
  });
});
