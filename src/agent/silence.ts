import { listen, type Line, type Listening } from '../rules/silence.ts';
import type { Clock } from '../system/clock.ts';
import type { JobLog } from '../system/log.ts';
import { failingJobs, type StatusReport } from './status.ts';

/** What raises the alarm by itself when the other master confirms nothing: it is shown each report of one life of the agent. */
export function createSilenceAlarm(
  log: JobLog,
  clock: Pick<Clock, 'monotonic'>,
  told: (line: Line) => void,
): (report: StatusReport) => void {
  let listening: Listening | undefined;
  return ({ role, components, peer, at, agent: { jobs } }) => {
    const listens = (role === 'active' || role === 'passive') && jobs.length > 0;
    const isExplained = failingJobs(jobs).some(({ job }) => job === 'greet-spare');
    const look = { role: listens ? role : undefined, components, peer, isExplained, wall: Date.parse(at) };
    const heard = listen(listening, look, clock.monotonic());
    listening = heard.listening;
    for (const line of heard.lines) {
      (line.status === 'FAILURE' ? log.failure : log.success)(line.text);
      told(line);
    }
  };
}
