// One pass of restore-nc that kills itself: node restore-nc-program.ts JSON. Used by test/fault/restore-nc.test.ts.
import { join } from 'node:path';
import { createRestoreNc } from '../../src/jobs/restore-nc/index.ts';
import { createClassifier } from '../../src/puppet/classifier.ts';
import { systemClock } from '../../src/system/clock.ts';
import { createHttpClient, type HttpIdentity } from '../../src/system/http-client.ts';
import { createJournal, type Journal } from '../../src/system/journal.ts';
import type { VerifiedDrop } from '../../src/drops/intake.ts';
import { fakeHolds, fakeIntake, passContext } from './classifier-fakes.ts';

export interface ProgramArgs {
  readonly url: string;
  readonly identity: HttpIdentity;
  readonly root: string;
  readonly drop: VerifiedDrop;
  /** The journal's call at which to die, counted from 0: each record is one, the close is the last. */
  readonly call: number;
  readonly when: 'before' | 'after';
}

const args = JSON.parse(process.argv[2] ?? '{}') as ProgramArgs;

function deadly(journal: Journal): Journal {
  let calls = 0;
  const dieAround = async (work: () => Promise<void>): Promise<void> => {
    const isIt = calls === args.call;
    calls += 1;
    if (isIt && args.when === 'before') process.kill(process.pid, 'SIGKILL');
    await work();
    if (isIt) process.kill(process.pid, 'SIGKILL');
  };
  return {
    open: () => journal.open(),
    record: (line) => dieAround(() => journal.record(line)),
    close: () => dieAround(() => journal.close()),
  };
}

const job = createRestoreNc({
  classifier: createClassifier({ http: createHttpClient(args.identity), url: args.url, clock: systemClock }),
  intake: fakeIntake(args.drop),
  holds: fakeHolds(),
  journal: deadly(createJournal(join(args.root, 'journal/restore-nc.jsonl'))),
  archive: join(args.root, 'archive'),
});
await job.run(passContext());
