import { rm } from 'node:fs/promises';
import type { Greeting, Peer } from '../drops/peer.ts';
import { Failure } from '../errors.ts';
import { additionsOf, type Additions, type AdditionTools } from '../puppet/ca-additions.ts';
import type { Hello } from '../rules/hello.ts';
import { digestOfOwn, type MadeHere } from '../rules/made-here.ts';
import { counted } from '../rules/spoken.ts';
import { sweepTemporary } from '../system/files.ts';
import { runOperation, type Journal } from '../system/journal.ts';
import type { State } from '../system/state.ts';
import type { Job, Outcome, PassContext } from './job.ts';

export interface FetchMadeHereTools extends AdditionTools {
  readonly greet: (signal: AbortSignal) => Promise<Greeting>;
  readonly peer: Pick<Peer, 'madeHere'>;
  /** This master's certname. */
  readonly certname: string;
  readonly journal: Journal;
  readonly state: State;
  readonly everyMs: number;
}

const name = 'fetch-made-here';

/** Brings what a spare signed and revoked, while agents used it, into the active's CA; from there it travels like all the rest. */
export const createFetchMadeHere = (tools: FetchMadeHereTools): Job => ({
  name,
  role: 'active',
  triggers: [{ kind: 'start' }, { kind: 'every', ms: tools.everyMs }],
  run: (context) => pass(tools, context),
});

interface Fetched {
  readonly digest: string;
}

/** Is there something in this greeting that was not fetched yet? */
export async function isMadeHereNews(state: State, hello: Pick<Hello, 'madeHere'>): Promise<boolean> {
  return hello.madeHere !== undefined && hello.madeHere !== (await state.read<Fetched>(name))?.digest;
}

async function pass(tools: FetchMadeHereTools, context: PassContext): Promise<Outcome> {
  await endInterrupted(tools);
  const { hello, pairing } = await tools.greet(context.signal);
  const made = hello.madeHere === undefined ? undefined : await tools.peer.madeHere(context.signal);
  if (made === undefined) return { kind: 'unchanged', why: `${pairing.certname} made nothing itself` };
  if (made.source !== pairing.certname || made.target !== tools.certname)
    return { kind: 'waiting', why: `what ${made.source} made is meant for ${made.target}` };
  try {
    const added = await add(tools, made, context);
    const isNew = await isMadeHereNews(tools.state, hello);
    tell(added, made, context, isNew);
    await tools.state.write(name, { digest: digestOfOwn(made) } satisfies Fetched);
    const detail = { certificates: added.certificates, revocations: added.revocations, more: made.more };
    return added.actions.length > 0
      ? { kind: 'done', why: whatOf(added), detail }
      : { kind: 'unchanged', why: `all that ${made.source} made is here`, detail };
  } finally {
    await rm(tools.work, { recursive: true, force: true });
  }
}

/** What a killed pass began is decided anew. */
async function endInterrupted({ journal, live }: FetchMadeHereTools): Promise<void> {
  if ((await journal.open()) === undefined) return;
  for (const directory of [live.cadir, live.path('signed')]) await sweepTemporary(directory);
  await journal.close();
}

const attempts = 3;

/** Looked at again afterwards: puppetserver may have written over it, for its lock is its own. */
async function add(tools: FetchMadeHereTools, made: MadeHere, context: PassContext): Promise<Additions> {
  let first: Additions | undefined;
  for (let n = 0; n < attempts; n += 1) {
    const additions = await additionsOf(tools, made, context.signal);
    first ??= additions;
    if (additions.actions.length === 0) return first;
    await context.fence();
    const operation = { job: name, run: made.at, args: {}, steps: additions.steps, pointOfNoReturn: 'archive' };
    await runOperation(tools.journal, operation);
  }
  const why = 'something else writes in the CA directory all the time';
  throw new Failure('incomplete', `what ${made.source} made is not all here`, { why, hint: 'It is tried again' });
}

const whatOf = ({ certificates, revocations }: Additions): string =>
  `${counted(certificates, 'certificate')}, ${counted(revocations, 'revocation')}`;

function tell(added: Additions, { source }: MadeHere, { log }: PassContext, isNew: boolean): void {
  if (added.certificates + added.revocations > 0) log.success(`Added what ${source} made itself: ${whatOf(added)}`);
  if (!isNew) return;
  for (const [path, why] of [...added.bad].slice(0, 5)) log.warning(`Not added from ${source}: ${path}: ${why}`);
  if (added.bothSigned.length > 0) {
    const names = added.bothSigned.slice(0, 5).join(', ');
    log.warning(`Both masters signed ${names}: this master's own is live, that of ${source} is in the archive`);
  }
  if (added.waiting > 0) {
    const count = counted(added.waiting, 'revocation');
    log.failure(`${count} of ${source} cannot be united with this master's own: the key of the CA is not here`);
  }
}
