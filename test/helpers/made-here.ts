// The active's side of what a spare made, with the words of the spare from wherever a test has them.
import { join } from 'node:path';
import type { Greeting } from '../../src/drops/peer.ts';
import type { FetchMadeHereTools } from '../../src/jobs/fetch-made-here.ts';
import { openLiveCa } from '../../src/puppet/ca-live.ts';
import { digestOfOwn, firstOf, parseMadeHere, type MadeHere, type OwnOfCa } from '../../src/rules/made-here.ts';
import { exec } from '../../src/system/exec.ts';
import { createJournal } from '../../src/system/journal.ts';
import { createState } from '../../src/system/state.ts';

export const madeHereOf = (own: OwnOfCa): MadeHere =>
  parseMadeHere(
    JSON.parse(JSON.stringify({ format: 1, source: 'spare.lab', target: 'active.lab', at: 'now', ...firstOf(own) })),
  );

export function fetchTools(
  root: string,
  made: () => MadeHere | undefined,
  onStep: (step: string) => Promise<void> | undefined,
): FetchMadeHereTools {
  const journal = createJournal(join(root, 'journal', 'fetch-made-here.jsonl'));
  const greet = (): Promise<Greeting> => {
    const own = made();
    const hello = own === undefined ? {} : { madeHere: digestOfOwn(own) };
    return Promise.resolve({ hello, pairing: { certname: 'spare.lab' } } as unknown as Greeting);
  };
  return {
    greet,
    peer: { madeHere: () => Promise.resolve(made()) },
    certname: 'active.lab',
    live: openLiveCa(join(root, 'active')),
    exec,
    work: join(root, 'fetched'),
    archive: join(root, 'made-by-spare'),
    journal: {
      ...journal,
      record: async (line) => {
        await journal.record(line);
        await onStep(line.step);
      },
    },
    state: createState(root),
    everyMs: 1_000,
  };
}
