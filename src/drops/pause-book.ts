import type { StreamPause, Pause, PauseState } from '../rules/pause.ts';
import { pauseOfStream, standingPauses, withPauses } from '../rules/pause.ts';
import type { Clock } from '../system/clock.ts';
import type { State } from '../system/state.ts';

type Role = PauseState['role'];

/** What an admin keeps from running, here and on the other master. Nothing is cached: a command beside the agent writes it, too. */
export interface PauseBook {
  /** Of this master, in that role. */
  standing(): Promise<readonly Pause[]>;
  pause(role: Role, pauses: readonly Pause[]): Promise<void>;
  /** Gives those that stood. Undefined: all. */
  resume(jobs?: readonly string[]): Promise<readonly Pause[]>;
  /** The other master has told its own, all of them; false: it has told something newer since. */
  told(role: Role, pauses: readonly Pause[], toldAt: string): Promise<boolean>;
  /** Of a stream: here, or on the other master. */
  ofStream(stream: string, certname: string, peer: string | undefined): Promise<StreamPause | undefined>;
  /** A master has entered a role: gives the pauses of its last one, which end. */
  entered(role: Role): Promise<readonly Pause[]>;
}

const [own, others] = ['pause', 'peer-pause'];

export function createPauseBook(state: State, clock: Pick<Clock, 'now'>): PauseBook {
  const read = async (name: string): Promise<PauseState | undefined> => await state.read<PauseState>(name);
  const standingIn = async (name: string): Promise<readonly Pause[]> =>
    standingPauses((await read(name))?.pauses ?? [], clock.now());
  const write = async (name: string, role: Role, pauses: readonly Pause[]): Promise<void> =>
    pauses.length === 0 ? await state.remove(name) : await state.write(name, { role, pauses });
  return {
    standing: () => standingIn(own),
    pause: async (role, pauses) => await write(own, role, withPauses(await standingIn(own), pauses)),
    resume: async (jobs) => {
      const known = await read(own);
      const standing = await standingIn(own);
      const isMeant = ({ job }: Pause): boolean => jobs === undefined || jobs.includes(job);
      if (known !== undefined)
        await write(
          own,
          known.role,
          standing.filter((one) => !isMeant(one)),
        );
      return standing.filter(isMeant);
    },
    told: async (role, pauses, toldAt) => {
      if (((await read(others))?.toldAt ?? '') > toldAt) return false;
      await state.write(others, { role, pauses, toldAt } satisfies PauseState);
      return true;
    },
    ofStream: async (stream, certname, peer = 'the other master') => {
      const here = pauseOfStream(await standingIn(own), stream);
      const found = here ?? pauseOfStream(await standingIn(others), stream);
      if (found === undefined) return undefined;
      const { job: _job, ...pause } = found;
      return { ...pause, on: here === undefined ? peer : certname };
    },
    entered: async (role) => {
      const ended = (await read(own))?.role === role ? [] : await standingIn(own);
      for (const name of [own, others]) if ((await read(name))?.role !== role) await state.remove(name);
      return ended;
    },
  };
}
