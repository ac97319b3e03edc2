import { Failure } from '../errors.ts';
import { compareEpochs, formatEpoch, type Epoch } from '../rules/epoch.ts';
import { wayOut } from '../rules/gate.ts';
import { formatPairing, parsePairing, type KnownPeer, type Pairing } from '../rules/pairing.ts';
import { oldLogins, type PeerState } from '../rules/rotation.ts';
import type { Paths } from '../rules/paths.ts';
import type { Clock } from '../system/clock.ts';
import { removeIfThere } from '../system/files.ts';
import type { JobLog } from '../system/log.ts';
import { fingerprint } from '../system/sign.ts';
import { createState, type State } from '../system/state.ts';
import type { Greeting, Peer } from './peer.ts';

export const knownPeer = async (state: State): Promise<KnownPeer | undefined> => {
  const known = await state.read<PeerState>('peer');
  if (known === undefined) return undefined;
  const { line, next } = known;
  return { ...parsePairing(line), ...(next === undefined ? {} : { next: parsePairing(next) }) };
};

export interface Greeter {
  /** The spare's greeting, at most ten seconds old. Throws `latched` when it shows that we were overtaken. */
  greet(signal: AbortSignal): Promise<Greeting>;
  /** After an error: the next pass asks anew. */
  forget(): void;
}

const freshMs = 10_000;

export interface GreeterParts {
  readonly peer: Peer;
  readonly epoch: Epoch;
  readonly state: State;
  readonly clock: Clock;
  readonly log: JobLog;
  /** The spare is known from now on: its key may ask who we are. */
  readonly introduced: (spare: Pairing) => Promise<void>;
}

export function createGreeter({ peer, epoch, state, clock, log, introduced }: GreeterParts): Greeter {
  let last: { readonly greeting: Greeting; readonly at: number } | undefined;
  let overtaken: Failure | undefined;
  return {
    forget: () => (last = undefined),
    greet: async (signal) => {
      if (overtaken !== undefined) throw overtaken; // for this whole session: nothing is sent any more
      if (last !== undefined && clock.monotonic() - last.at < freshMs) return last.greeting;
      const greeting = await peer.hello(signal);
      overtaken = whyOvertaken(greeting, epoch);
      if (overtaken !== undefined) throw overtaken;
      if (await introduce(state, greeting.pairing, log)) await introduced(greeting.pairing);
      last = { greeting, at: clock.monotonic() };
      return greeting;
    },
  };
}

/**
 * Remembers the other master, so that roles can turn round without a second exchange. A known one is never replaced so.
 * True when it is new.
 */
export async function introduce(state: State, pairing: Pairing, log: JobLog): Promise<boolean> {
  if ((await knownPeer(state)) !== undefined) return false;
  await remember(state, pairing);
  log.success(spoken(pairing));
  return true;
}

/** An admin's word, the line in a spare's fact, replaces whoever was known. Gives the sentence to log where it did. */
export async function nameByAdmin(paths: Pick<Paths, 'state' | 'keys'>, pairing: Pairing): Promise<string | undefined> {
  const state = createState(paths.state);
  const known = await knownPeer(state);
  if (isSamePairing(known, pairing)) return undefined;
  await removeIfThere(paths.keys.knownHosts); // the line brings its host key along; first, so that a crash repeats both
  await remember(state, pairing, known === undefined ? {} : { ends: oldLogins(new Date()) });
  return spoken(pairing);
}

export const isSamePairing = (known: Pairing | undefined, pairing: Pairing): boolean =>
  known !== undefined && formatPairing(known) === formatPairing(pairing);

const remember = (state: State, pairing: Pairing, more: Pick<PeerState, 'ends'> = {}): Promise<void> =>
  state.write('peer', { line: formatPairing(pairing), ...more } satisfies PeerState);

const spoken = ({ certname, signingKey }: Pairing): string =>
  `Paired with ${certname}, signing key ${fingerprint(signingKey)}`;

/** The spare's own word, signed by its root: somebody was promoted after us, or at the same time. */
function whyOvertaken({ gate }: Greeting, epoch: Epoch): Failure | undefined {
  const order = compareEpochs(gate.epoch, epoch);
  if (order !== 'higher' && order !== 'conflict') return undefined;
  const why = `our epoch is ${formatEpoch(epoch)}, ${gate.certname} is ${gate.role} in epoch ${formatEpoch(gate.epoch)}`;
  return new Failure('latched', 'this active was overtaken', {
    why,
    hint: wayOut(order === 'conflict' ? order : 'lower', gate.role),
  });
}
