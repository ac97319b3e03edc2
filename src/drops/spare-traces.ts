import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isStream } from '../rules/manifest.ts';
import type { Paths } from '../rules/paths.ts';
import type { PeerState } from '../rules/rotation.ts';
import { factIn, withFacts, withoutTheseFacts } from '../system/fact.ts';
import { listDirectory, readIfThere, removeIfThere, writeFileAtomic, type Ownership } from '../system/files.ts';
import { createState, type State } from '../system/state.ts';
import type { GateFile } from './gate-file.ts';
import { knownPeer } from './greeter.ts';
import type { StreamState } from './stream-state.ts';

/** `state/forget.json`: what was known of a spare that is being forgotten, so that it can be taken back. */
export interface ForgottenSpare {
  readonly host: string;
  /** Certname, where that host is the spare of now. */
  readonly spare?: string;
  /** By name, as they stood there. */
  readonly facts: Readonly<Record<string, string>>;
  readonly peer?: PeerState;
  readonly knownHosts?: string;
}

/** What an active has of its spare. */
export interface SpareTraces {
  /** Certname of the spare of now, where it is called so, by itself or in the fact. */
  spareCalled(host: string): Promise<string | undefined>;
  note: {
    read(): Promise<ForgottenSpare | undefined>;
    /** Of what stands now. */
    write(host: string): Promise<void>;
    remove(): Promise<void>;
  };
  /** Names of facts that tell of it. */
  facts(): Promise<readonly string[]>;
  unsetFacts(): Promise<void>;
  setFactsAgain(note: ForgottenSpare): Promise<void>;
  isKnown(): Promise<boolean>;
  /** INVARIANT: no session of an agent sends anything to it any more: its greeting would introduce it anew. */
  forgetKeys(): Promise<void>;
  knowAgain(note: ForgottenSpare): Promise<void>;
  /** Where no agent runs that would do it. */
  closeGate(): Promise<void>;
  gateNames(): Promise<string | undefined>;
  /** What it has acknowledged, and drops that are packed for it. Numbers go on. */
  hasAcknowledged(): Promise<boolean>;
  forgetAcknowledged(): Promise<void>;
}

export interface TracesParts {
  readonly paths: Paths;
  readonly gate: GateFile;
  /** Of the fact. */
  readonly published: Ownership;
}

const note = 'forget';
const spareFact = 'pe_failover_passive_master';
const keyFact = 'pe_failover_key';

export function createSpareTraces(parts: TracesParts): SpareTraces {
  const { paths, gate } = parts;
  const state = createState(paths.state);
  const inFact = factTraces(parts);
  const spareCalled = async (host: string): Promise<string | undefined> => {
    const certname = (await knownPeer(state))?.certname;
    const named = (await inFact.named())?.toLowerCase();
    return certname === host || named === host ? (certname ?? named) : undefined;
  };
  return {
    spareCalled,
    ...{ facts: inFact.facts, unsetFacts: inFact.unset, setFactsAgain: inFact.setAgain },
    note: {
      read: () => state.read<ForgottenSpare>(note),
      write: async (host) => {
        const spare = await spareCalled(host);
        const known = spare === undefined ? { facts: {} } : { spare, ...(await standing(parts, state)) };
        await state.write(note, { host, ...known } satisfies ForgottenSpare);
      },
      remove: () => state.remove(note),
    },
    isKnown: async () =>
      (await knownPeer(state)) !== undefined || (await readIfThere(paths.keys.knownHosts)) !== undefined,
    forgetKeys: async () => {
      await state.remove('peer');
      await removeIfThere(paths.keys.knownHosts);
    },
    knowAgain: async ({ peer, knownHosts }) => {
      if (knownHosts !== undefined) await writeFileAtomic(paths.keys.knownHosts, knownHosts, { mode: 0o600 });
      if (peer !== undefined) await state.write('peer', peer);
    },
    closeGate: () => closeGate(gate),
    gateNames: async () => (await gate.read())?.peer,
    hasAcknowledged: async () => (await heardStreams(paths)).length > 0 || (await packed(paths)).length > 0,
    forgetAcknowledged: () => forgetAcknowledged(paths),
  };
}

function factTraces({ paths: { fact }, published }: Pick<TracesParts, 'paths' | 'published'>) {
  const text = async (): Promise<string> => (await readIfThere(fact)) ?? '';
  const facts = async (): Promise<string[]> => {
    const now = await text();
    return [spareFact, keyFact].filter((name) => factIn(now, name) !== undefined);
  };
  return {
    facts,
    named: async () => factIn(await text(), spareFact),
    unset: async () => writeFileAtomic(fact, withoutTheseFacts(await text(), await facts(), fact), published),
    setAgain: async (before: ForgottenSpare) =>
      writeFileAtomic(fact, withFacts(await text(), before.facts, fact), published),
  };
}

async function closeGate(gate: GateFile): Promise<void> {
  const now = await gate.read();
  if (now === undefined) return;
  const { role, epoch, fact, closed } = now;
  await gate.write({ role, epoch, fact, ...(closed === undefined ? {} : { closed }) });
}

async function standing(parts: TracesParts, state: State): Promise<Omit<ForgottenSpare, 'host'>> {
  const { fact, keys } = parts.paths;
  const text = (await readIfThere(fact)) ?? '';
  const facts = await factTraces(parts).facts();
  const [peer, knownHosts] = [await state.read<PeerState>('peer'), await readIfThere(keys.knownHosts)];
  return {
    facts: Object.fromEntries(facts.map((name) => [name, factIn(text, name) ?? ''])),
    ...(peer === undefined ? {} : { peer }),
    ...(knownHosts === undefined ? {} : { knownHosts }),
  };
}

const greetingNote = 'greeting';

/** Streams on which anything was heard, and the note of its greeting. */
async function heardStreams({ streams }: Paths): Promise<string[]> {
  const state = createState(streams);
  const names = (await listDirectory(streams)).map((name) => name.replace(/\.json$/, ''));
  const heard: string[] = [];
  for (const name of names.filter((one) => isStream(one) || one === greetingNote)) {
    const {
      epoch: _epoch,
      sequence: _sequence,
      setBack: _setBack,
      ...told
    } = (await state.read<StreamState>(name)) ?? {};
    if (Object.keys(told).some((key) => key !== 'format')) heard.push(name);
  }
  return heard;
}

const packed = async ({ outbox }: Paths): Promise<string[]> => {
  const drops: string[] = [];
  for (const stream of await listDirectory(outbox))
    for (const drop of await listDirectory(join(outbox, stream))) drops.push(join(outbox, stream, drop));
  return drops;
};

/** A number that was given out is never used again in its epoch, whoever the next spare is. */
async function forgetAcknowledged(paths: Paths): Promise<void> {
  const state = createState(paths.streams);
  for (const name of await heardStreams(paths)) {
    const known = await state.read<StreamState>(name);
    if (name === greetingNote || known === undefined) await state.remove(name);
    else {
      const { epoch, sequence, setBack } = known;
      await state.write(name, { epoch, sequence, ...(setBack === undefined ? {} : { setBack }) });
    }
  }
  for (const drop of await packed(paths)) await rm(drop, { recursive: true, force: true });
}
