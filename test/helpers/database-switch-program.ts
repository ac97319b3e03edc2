// A program for the fault tests: switches a database and kills itself, as `kill -9` does, at one point of the journal.
import { switchDatabase, type SwitchArgs } from '../../src/puppet/database-switch.ts';
import { createJournal, type Journal } from '../../src/system/journal.ts';
import { switchTools, type SparePlaces } from './database-spare.ts';

export interface Death {
  readonly way: SwitchArgs['way'];
  /** Before this step is recorded (the one before is done), or when it is recorded but not begun. */
  readonly when: 'before' | 'recorded';
  /** A step's name; "close" for the end of the journal. */
  readonly step: string;
}

export interface Work {
  readonly places: SparePlaces;
  readonly args: SwitchArgs;
  readonly journal: string;
  readonly death: Death;
}

function deadly(journal: Journal, death: Death): Journal {
  const die = async (when: Death['when'], step: string, way: string): Promise<void> => {
    if (when !== death.when || step !== death.step || way !== death.way) return;
    process.kill(process.pid, 'SIGKILL');
    await new Promise(() => setTimeout(() => undefined, 60_000)); // nothing more happens
  };
  let way = '';
  return {
    open: () => journal.open(),
    record: async (line) => {
      way = (line.args as SwitchArgs).way;
      await die('before', line.step, way);
      await journal.record(line);
      await die('recorded', line.step, way);
    },
    close: async () => {
      await die('before', 'close', way);
      await journal.close();
    },
  };
}

if (process.argv[1] === import.meta.filename) {
  const work = JSON.parse(process.argv[2] ?? '{}') as Work;
  await switchDatabase(switchTools(work.places), deadly(createJournal(work.journal), work.death), work.args);
}
