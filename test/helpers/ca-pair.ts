import { cp, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Delivered, Delivery, Goods } from '../../src/drops/delivery.ts';
import { createHolds, type Hold, type Holds } from '../../src/drops/holds.ts';
import { createExpectationBook, type ExpectationBook } from '../../src/drops/expected-deletions.ts';
import type { Intake, Verdict, VerifiedDrop } from '../../src/drops/intake.ts';
import { createFetchMadeHere } from '../../src/jobs/fetch-made-here.ts';
import type { Outcome, PassContext } from '../../src/jobs/job.ts';
import { createSyncCerts } from '../../src/jobs/sync-certs/index.ts';
import { createUpdatePassiveCa, type UpdatePassiveCaTools } from '../../src/jobs/update-passive-ca/index.ts';
import { openHeldStore } from '../../src/puppet/ca-held.ts';
import { openLiveCa } from '../../src/puppet/ca-live.ts';
import { createVanishedBook } from '../../src/puppet/ca-vanished.ts';
import { isNothing, type MadeHere, type OwnOfCa } from '../../src/rules/made-here.ts';
import { dropName, type Manifest } from '../../src/rules/manifest.ts';
import type { Receipt } from '../../src/rules/receipt.ts';
import { openAcceptedSet, type AcceptedSet } from '../../src/system/accepted-set.ts';
import { readCertificates, readCrls } from '../../src/system/certificates.ts';
import { systemClock } from '../../src/system/clock.ts';
import { openContentStore } from '../../src/system/content-store.ts';
import { exec } from '../../src/system/exec.ts';
import { createJournal, type Journal } from '../../src/system/journal.ts';
import { createState } from '../../src/system/state.ts';
import { fetchTools, madeHereOf } from './made-here.ts';
import { createTestCa, openTestCa, type TestCa } from '../stand-in/ca.ts';

export const epoch = { number: 1, id: '0123456789abcdef' };

/** Two masters with one CA: both jobs on real directories, the way between them a few lines in memory. */
export interface CaPair extends AsyncDisposable {
  readonly root: string;
  readonly active: TestCa;
  readonly spare: TestCa;
  readonly activeSet: AcceptedSet;
  readonly spareSet: AcceptedSet;
  readonly log: string[];
  readonly holds: (Hold & { id: string })[];
  readonly drops: Manifest[];
  readonly verdicts: Verdict[];
  /** As on the spare's disk. */
  readonly kept: Holds;
  /** One pass of the active, and of the spare for what it pushes. `changed`: names as the watcher hints them. */
  sync(changed?: readonly string[]): Promise<Outcome>;
  /** One pass of the spare: of its interval, or the first after a start. */
  compare(cause?: 'every' | 'start'): Promise<Outcome>;
  /** May change a drop before the spare sees it. */
  tamper: ((drop: VerifiedDrop) => Promise<VerifiedDrop>) | undefined;
  /** False: receipts reach the active later only. */
  answers: boolean;
  /** True: the spare's agent does not run, and what is pushed waits there. */
  sleeps: boolean;
  /** How the active's next life knows the spare, and what it leaves out besides. */
  spareName: string;
  excludeCerts: string[];
  /** Another life of the active's job: it remembers what is on disk. */
  restartActive(): void;
  /** The active has noticed that its disk was set back to an earlier state. */
  wasSetBack(): void;
  /** What the active's admin announces. */
  readonly expected: ExpectationBook;
  /** The clock of both; undefined: this machine's. */
  now: Date | undefined;
  /** What the fence of the next passes throws. */
  fence: Error | undefined;
  /** What happens on the spare when a step of an apply begins. */
  duringApply: ((step: string) => Promise<void>) | undefined;
  /** One pass of the active for what the spare made itself, as the spare last said it. */
  fetch(): Promise<Outcome>;
  /** What the spare last said that it made. */
  readonly own: OwnOfCa | undefined;
  /** What the spare says instead. */
  madeHere: MadeHere | undefined;
  /** What happens on the active when a step of a fetch begins. */
  duringFetch: ((step: string) => Promise<void>) | undefined;
  spareRevoked(): Promise<bigint[]>;
  spareSerial(): Promise<bigint>;
}

export interface Spare {
  readonly tools: UpdatePassiveCaTools;
  readonly set: AcceptedSet;
  /** What it last said that it made itself. */
  own: OwnOfCa | undefined;
}

export async function openSpare(
  root: string,
  intake: Omit<Intake, 'reopen'>,
  holds: UpdatePassiveCaTools['holds'],
  wrap: (journal: Journal) => Journal = (journal) => journal,
): Promise<Spare> {
  for (const name of ['content', 'vanished']) await mkdir(join(root, name), { recursive: true });
  const set = openAcceptedSet(join(root, 'spare.db'));
  const tools = {
    certname: 'spare.lab',
    live: openLiveCa(join(root, 'spare')),
    set,
    content: openContentStore(join(root, 'content')),
    held: openHeldStore(join(root, 'held.json')),
    vanished: createVanishedBook(createState(join(root, 'vanished'))),
    holds,
    intake,
    journal: wrap(createJournal(join(root, 'journal', 'update-passive-ca.jsonl'))),
    exec,
    archive: join(root, 'archive'),
    madeHere: { write: (own: OwnOfCa) => Promise.resolve(void (spare.own = own)) },
    adoption: {
      request: { wanted: () => Promise.resolve(undefined), done: () => Promise.resolve() },
      isServerStopped: () => Promise.resolve(true),
    },
  };
  const spare: Spare = { tools, set, own: undefined };
  return spare;
}

export function contextOf(log: string[], cause: string, changed?: readonly string[]): PassContext {
  return {
    signal: new AbortController().signal,
    epoch,
    log: {
      success: (text) => void log.push(`SUCCESS ${text}`),
      warning: (text) => void log.push(`WARNING ${text}`),
      failure: (text) => void log.push(`FAILURE ${text}`),
    },
    clock: systemClock,
    fence: () => Promise.resolve(),
    cause,
    ...(changed === undefined ? {} : { changed: new Set(changed) }),
  };
}

export async function createCaPair(): Promise<CaPair> {
  const root = await mkdtemp(join(tmpdir(), 'pe-failover-ca-'));
  const active = await createTestCa(join(root, 'active'), { name: 'lab' });
  for (const name of ['archive', 'holds', 'announced']) await mkdir(join(root, name));
  await cp(join(root, 'active'), join(root, 'spare'), { recursive: true });
  const log: string[] = [];
  const queue: VerifiedDrop[] = [];
  const way = createWay(root, queue);
  const kept = createHolds(createState(join(root, 'holds')), () => new Date());
  const holds: (Hold & { id: string })[] = [];
  const holdsOf: Holds = {
    ...kept,
    raise: async (hold) => {
      const id = await kept.raise(hold);
      holds.push({ ...hold, id });
      return id;
    },
  };
  const watched = (journal: Journal): Journal => ({
    ...journal,
    record: async (line) => {
      await journal.record(line);
      await pair.duringApply?.(line.step);
    },
  });
  const onSpare = await openSpare(root, way.intake, holdsOf, watched);
  const { tools, set: spareSet } = onSpare;
  const passive = createUpdatePassiveCa(tools);
  const activeSet = openAcceptedSet(join(root, 'active.db'));
  const pair = { spareName: 'spare.lab', excludeCerts: ['excluded.lab'] } as CaPair;
  const clock = { ...systemClock, now: () => pair.now ?? systemClock.now() };
  way.onDrop = async (drop) => {
    queue.push(pair.tamper === undefined ? drop : await pair.tamper(drop));
    const fence = () => (pair.fence === undefined ? Promise.resolve() : Promise.reject(pair.fence));
    if (!pair.sleeps) await passive.run({ ...contextOf(log, 'drop'), fence, clock });
  };
  const expected = createExpectationBook(createState(join(root, 'announced')));
  const sender = () =>
    createSyncCerts({
      cadir: active.directory,
      set: activeSet,
      delivery: way.delivery,
      expected,
      spare: pair.spareName,
      work: join(root, 'work'),
      excludeCerts: pair.excludeCerts,
    });
  const made = (): MadeHere | undefined =>
    pair.madeHere ?? (onSpare.own === undefined || isNothing(onSpare.own) ? undefined : madeHereOf(onSpare.own));
  const fetching = createFetchMadeHere(fetchTools(root, made, (step) => pair.duringFetch?.(step)));
  let sending = sender();
  Object.defineProperty(pair, 'own', { get: () => onSpare.own });
  return Object.assign(pair, {
    expected,
    fence: undefined,
    now: undefined,
    duringApply: undefined,
    answers: true,
    sleeps: false,
    restartActive: () => {
      sending = sender();
    },
    wasSetBack: () => {
      way.forget();
      sending = sender();
    },
    root,
    active,
    spare: await openTestCa(join(root, 'spare')),
    activeSet,
    spareSet,
    log,
    holds,
    drops: way.drops,
    verdicts: way.verdicts,
    tamper: undefined,
    madeHere: undefined,
    duringFetch: undefined,
    fetch: () => fetching.run(contextOf(log, 'every')),
    kept,
    sync: (changed?: readonly string[]) => {
      way.answers = pair.answers;
      return sending.run({ ...contextOf(log, changed === undefined ? 'every' : 'watch', changed), clock });
    },
    compare: (cause = 'every') => passive.run({ ...contextOf(log, cause), clock }),
    spareRevoked: () => revokedIn(join(root, 'spare')),
    spareSerial: async () => BigInt(`0x${await readFile(join(root, 'spare', 'serial'), 'utf8')}`),
    [Symbol.asyncDispose]: async () => {
      activeSet.close();
      spareSet.close();
      await rm(root, { recursive: true, force: true });
    },
  });
}

interface Way {
  readonly delivery: Omit<Delivery, 'manifest' | 'sizes'>;
  readonly intake: Omit<Intake, 'reopen'>;
  readonly drops: Manifest[];
  readonly verdicts: Verdict[];
  onDrop: (drop: VerifiedDrop) => Promise<void>;
  answers: boolean;
  unites: boolean;
  /** The spare's words are forgotten, as an active does that was set back. */
  forget(): void;
}

/** Packs, numbers and hands over; keeps the last receipt that says it arrived. */
function createWay(root: string, queue: VerifiedDrop[]): Way {
  let [sequence, needsWhole] = [0, false];
  let newest: Receipt | undefined;
  let arrived: Receipt | undefined;
  const receiptOf = (drop: VerifiedDrop['manifest'], verdict: Verdict): Receipt => ({
    format: 1, n: sequence, stream: drop.stream, epoch: drop.epoch, sequence: drop.sequence, digest: drop.digest,
    at: '', spare: 'spare.lab', state: verdict.state, why: verdict.why,
    ...(verdict.holdId === undefined ? {} : { holdId: verdict.holdId }),
  }); // prettier-ignore
  const way: Way = {
    drops: [],
    verdicts: [],
    unites: false,
    forget: () => ([arrived, way.unites] = [undefined, true]),
    onDrop: () => Promise.resolve(),
    answers: true,
    delivery: {
      acknowledged: () => Promise.resolve(arrived),
      lastPush: () => Promise.resolve(undefined),
      needsWhole: () => Promise.resolve(needsWhole),
      unites: () => Promise.resolve(way.unites),
      catchUp: () => Promise.resolve([]),
      adoptionAsked: () => Promise.resolve(undefined),
      deliver: async (goods): Promise<Delivered> => {
        if (arrived?.digest === goods.digest && goods.evenIfUnchanged !== true)
          return { kind: 'confirmed', receipt: arrived };
        const drop = await packDrop(root, goods, (sequence += 1));
        way.drops.push(drop.manifest);
        await way.onDrop(drop);
        return { kind: 'pushed', sequence, receipt: way.answers && newest?.sequence === sequence ? newest : undefined };
      },
    },
    intake: {
      next: () => Promise.resolve(queue.splice(0, queue.length, ...queue.slice(-1)).at(-1)),
      report: (_drop, verdict) => Promise.resolve(void way.verdicts.push(verdict)),
      settle: (drop, verdict) => {
        queue.shift();
        way.verdicts.push(verdict);
        newest = receiptOf(drop.manifest, verdict);
        if (verdict.state !== 'refused') [arrived, way.unites] = [newest, false];
        needsWhole = verdict.state === 'refused';
        return Promise.resolve();
      },
    },
  };
  return way;
}

export async function packDrop(root: string, goods: Goods, sequence: number): Promise<VerifiedDrop> {
  const directory = join(root, 'taken', dropName({ epoch, sequence }));
  await mkdir(directory, { recursive: true });
  const files = await goods.pack(directory, new AbortController().signal);
  const manifest: Manifest = {
    format: 1,
    stream: goods.stream,
    epoch,
    sequence,
    source: 'active.lab',
    target: 'spare.lab',
    capturedAt: '',
    platform: 'debian',
    build: '',
    kind: goods.kind,
    digest: goods.digest,
    files,
    deleted: goods.deleted ?? [],
    needs: [],
    detail: goods.detail ?? {},
  };
  return { manifest, directory };
}

export async function revokedIn(cadir: string): Promise<bigint[]> {
  const [own] = readCrls(await readFile(join(cadir, 'ca_crl.pem')), 'ca_crl.pem');
  return [...(own?.revoked.keys() ?? [])].sort((a, b) => (a < b ? -1 : 1));
}

/** Sentences about what makes a CA directory invalid; none: it is valid. */
export async function problemsOf(cadir: string): Promise<string[]> {
  const serial = BigInt(`0x${await readFile(join(cadir, 'serial'), 'utf8')}`);
  const inventory = await readFile(join(cadir, 'inventory.txt'), 'utf8');
  const problems: string[] = [];
  for (const name of await readdir(join(cadir, 'signed'))) {
    if (name.includes('tmp') || name.startsWith('.')) problems.push(`${name} is temporary`);
    if (!name.endsWith('.pem') || name.startsWith('.')) continue;
    const [certificate] = readCertificates(await readFile(join(cadir, 'signed', name)), name);
    const line = certificate?.serial.toString(16).toUpperCase().padStart(4, '0');
    if (!inventory.includes(`0x${line ?? ''} `)) problems.push(`${name} is not in the inventory`);
    if ((certificate?.serial ?? 0n) >= serial) problems.push(`${name} lies above the serial`);
  }
  if (readCrls(await readFile(join(cadir, 'ca_crl.pem')), 'ca_crl.pem').length !== 2) problems.push('a CRL is missing');
  return problems;
}
