import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Trigger } from '../../src/jobs/job.ts';
import { watchDirectory, watchTree } from '../../src/system/watch.ts';
import { createBench, createRecordedJob, done } from '../helpers/scheduler-bench.ts';

it('a published drop or a confirmation starts a pass, an emptied directory or another name does not, and the poll finds what no watch told', async () => {
  const inbox = await mkdtemp(join(tmpdir(), 'drop-test-'));
  const ready = join(inbox, 'sync-certs', 'ready');
  await mkdir(ready, { recursive: true });
  let passed = (): void => undefined;
  const next = (): Promise<void> => new Promise((resolve) => (passed = resolve));
  const drops: Trigger[] = [{ kind: 'drop', streams: ['sync-certs'] }];
  const recorded = createRecordedJob('update-passive-ca', drops, {
    run: async () => {
      await rm(join(ready, '1.0123456789abcdef-1'), { recursive: true, force: true });
      passes += 1;
      passed();
      return done;
    },
  });
  let passes = 0;
  const { scheduler, session, clock } = createBench([recorded.job], {
    watch: { directory: watchDirectory, tree: watchTree },
    dropDirectory: (stream) => join(inbox, stream, 'ready'),
  });
  await scheduler.start(session.signal);
  const first = next();
  await mkdir(join(inbox, 'staging'));
  await rename(join(inbox, 'staging'), join(ready, '1.0123456789abcdef-1'));
  await first;
  await new Promise((resolve) => setTimeout(resolve, 100)); // the removal by the pass itself is told by then
  const quiet = passes;

  await writeFile(join(ready, '.confirm.4711'), 'half'); // what a gate leaves that was killed
  await writeFile(join(ready, 'else'), '');
  await clock.advance(60_000);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(passes).toBe(quiet);
  const confirmed = next();
  await rename(join(ready, '.confirm.4711'), join(ready, 'confirm'));
  await confirmed;
  await rm(join(ready, 'confirm'));

  await rename(ready, `${ready}.away`);
  await mkdir(join(inbox, 'new', '1.0123456789abcdef-1'), { recursive: true });
  const [second, before] = [next(), passes];
  await rename(join(inbox, 'new'), ready);
  while (passes === before) await clock.advance(30_000);
  await second;
  await scheduler.drain(0);
  await rm(inbox, { recursive: true });
});
