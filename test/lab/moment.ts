import { mkdirSync, watch } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { watchSteps } from './death.ts';
import type { LabMaster } from './pair.ts';

const agent = 'pe-failover.service';

/** A moment that comes in the middle of work; calls back when it is there. */
type Moment = (now: () => void) => { stop(): void };
type Act = () => Promise<unknown>;

export const whenStepBegins =
  (host: LabMaster, wanted: { readonly job: string; readonly step: string }): Moment =>
  (now) =>
    watchSteps(host, ({ job, step }) => {
      if (job === wanted.job && step === wanted.step) now();
    });

export const whenSomethingIsIn =
  (host: LabMaster, directory: string): Moment =>
  (now) => {
    const path = host.path(directory);
    mkdirSync(path, { recursive: true });
    const watcher = watch(path, now);
    return { stop: () => watcher.close() };
  };

/** Starts the work; from that moment on all of `host` stands still until `act` has ended, which is done from outside. */
export const actOutsideAt = (host: LabMaster, moment: Moment, work: Act, act: Act): Promise<void> =>
  interrupt(moment, work, act, () => {
    host.freeze();
    return () => host.thaw();
  });

/** The same with the agent alone, and all that it started. */
export const actAt = (host: LabMaster, moment: Moment, work: Act, act: Act): Promise<void> =>
  interrupt(moment, work, act, () => {
    host.freeze(); // at once: to stop processes one after the other takes longer than some steps
    const stopped = host.pidsOf(agent);
    signalAll(stopped, 'SIGSTOP');
    host.thaw();
    return () => signalAll(stopped, 'SIGCONT');
  });

/** `hold` gives what lets go again. */
export async function interrupt(moment: Moment, work: Act, act: Act, hold: () => () => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<() => void>();
  let isHeld = false;
  const watching = moment(() => {
    if (isHeld) return;
    isHeld = true;
    resolve(hold());
    watching.stop();
  });
  const late = setTimeout(() => reject(new Error('the moment never came')), 90_000);
  try {
    await work();
    const letGo = await promise;
    try {
      await act();
    } finally {
      letGo();
    }
  } finally {
    clearTimeout(late);
    watching.stop();
  }
}

/** Begins to stop the agent; resolves once systemd has sent the signal. `ended` resolves when it has ended. */
export async function beginToStop(host: LabMaster, how: string): Promise<{ readonly ended: Promise<unknown> }> {
  const ended = host.sh(`systemctl ${how} pe-failover`, { timeoutMs: 100_000 });
  ended.catch(() => undefined); // told to whoever waits for it
  for (let waited = 0; waited < 10_000; waited += 20) {
    if ((await host.try('systemctl is-active pe-failover')).stdout.trim() !== 'active') return { ended };
    await sleep(20);
  }
  throw new Error('the agent is not being stopped');
}

export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // ended meanwhile
    }
  }
}
