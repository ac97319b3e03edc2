import { randomBytes } from 'node:crypto';
import { Failure } from '../errors.ts';
import { formatEpoch, type Epoch } from '../rules/epoch.ts';
import { parseGate, StaleLogin, type Gate } from '../rules/gate.ts';
import { parseHello, type Hello } from '../rules/hello.ts';
import { parseMadeHere, type MadeHere } from '../rules/made-here.ts';
import { parseReply, type Reply } from '../rules/order.ts';
import { parsePairing, signingKeysOf, type KnownPeer, type Pairing } from '../rules/pairing.ts';
import { parseSigned } from '../rules/program.ts';
import { parseReceipt, type Receipt } from '../rules/receipt.ts';
import type { RsyncPush } from '../system/rsync.ts';
import { requestText, withSignature } from '../rules/signed-request.ts';
import { fingerprint, isSealedBy, readSealed, unseal, type Signer } from '../system/sign.ts';
import type { Connection, SshSession } from '../system/ssh.ts';

export interface Greeting {
  readonly gate: Gate;
  readonly hello: Hello;
  readonly pairing: Pairing;
  /** It was signed with the keys that the spare told as its next ones. */
  readonly byNext?: true;
  /** The spare's own clock then, ISO 8601. */
  readonly at: string;
}

export interface DropToPush {
  readonly stream: string;
  readonly epoch: Epoch;
  readonly sequence: number;
  readonly digest: string;
  readonly directory: string;
}

export interface PushOptions {
  readonly bulk: boolean;
  /** Of the pass: its deadline is the push's. */
  readonly signal: AbortSignal;
}

/** The spare, as its gate answers. Everything said in its root's name is verified with the key of its pairing line. */
export interface Peer {
  hello(signal: AbortSignal): Promise<Greeting>;
  /** The receipt, where root's word came within the push. */
  push(drop: DropToPush, options: PushOptions): Promise<Receipt | undefined>;
  receipts(stream: string, since: number, waitSeconds: number, signal: AbortSignal): Promise<Receipt[]>;
  confirm(line: string, signal: AbortSignal): Promise<void>;
  /** A signed line for the spare's root to judge. */
  message(line: string, signal: AbortSignal): Promise<void>;
  /** What root says of an order, as soon as that is its last word or so many seconds are over; undefined: nothing yet. */
  reply(id: string, waitSeconds: number, signal: AbortSignal): Promise<Reply | undefined>;
  /** What the spare made itself of the CA; undefined: nothing. */
  madeHere(signal: AbortSignal): Promise<MadeHere | undefined>;
  close(): Promise<void>;
}

export interface PeerParts {
  /** Two connections, so that a dump does not delay a certificate. */
  readonly hot: SshSession;
  readonly bulk: SshSession;
  readonly rsync: RsyncPush;
  readonly host: string;
  readonly bandwidthLimit: number;
  /** The spare's pairing line as it was first taken; undefined before that. */
  readonly known: () => Promise<KnownPeer | undefined>;
  /** Of our root: every request but `hello` carries its signature. */
  readonly signer: Signer;
}

const answerMs = 20_000;

export function createPeer(parts: PeerParts): Peer {
  const ask = (words: Words, signal: AbortSignal, more?: More): Promise<Answer> =>
    withFreshLogin(parts, () => askOnce(parts, words, signal, more));
  const askSigned = (words: Words, signal: AbortSignal, more?: More): Promise<Answer> =>
    ask(async (nonce) => await signed(parts, await words(nonce)), signal, more);
  return {
    hello: async (signal) =>
      verifyGreeting(await ask((nonce) => `hello ${nonce}`, signal), await parts.known(), parts.host),
    push: (drop, options) => withFreshLogin(parts, () => push(parts, drop, options)),
    receipts: async (stream, since, waitSeconds, signal) => {
      const answer = await askSigned((nonce) => `receipts ${stream} ${since} ${nonce} ${waitSeconds}`, signal, {
        waitMs: waitSeconds * 1000,
      });
      const lines = Array.isArray(answer['receipts']) ? (answer['receipts'] as unknown[]) : [];
      const keys = await signingKeys(parts);
      return lines.map((line) => parseSigned(unseal(keys, 'receipt', textIn(line)), parseReceipt));
    },
    confirm: async (line, signal) => void (await askSigned((nonce) => `confirm ${nonce}`, signal, { input: line })),
    message: async (line, signal) => void (await askSigned((nonce) => `message ${nonce}`, signal, { input: line })),
    reply: async (id, waitSeconds, signal) => {
      const words: Words = (nonce) => `reply ${id} ${nonce} ${waitSeconds}`;
      const { reply: line } = await askSigned(words, signal, { waitMs: waitSeconds * 1000 });
      if (typeof line !== 'string') return undefined;
      const reply = parseSigned(unseal(await signingKeys(parts), 'message', line), parseReply);
      return reply.id === id ? reply : undefined;
    },
    madeHere: async (signal) => {
      const { export: line } = await askSigned((nonce) => `export sync-certs ${nonce}`, signal);
      if (typeof line !== 'string') return undefined;
      return parseSigned(unseal(await signingKeys(parts), 'made-here', line), parseMadeHere);
    },
    close: () => closeSessions(parts),
  };
}

type Words = (nonce: string) => string | Promise<string>;

interface More {
  /** For its standard input. */
  readonly input?: string;
  /** How long the gate may wait itself. */
  readonly waitMs?: number;
}

/** One request and the line of its answer. */
async function askOnce(
  parts: PeerParts,
  words: Words,
  signal: AbortSignal,
  { input, waitMs = 0 }: More = {},
): Promise<Answer> {
  const nonce = newNonce();
  const options = { timeoutMs: answerMs + waitMs, signal, ...(input === undefined ? {} : { input }) };
  const { stdout, stderr, exitCode } = await parts.hot.run(await words(nonce), options);
  const answer = stdout
    .split('\n')
    .map((line) => readAnswer(line, nonce))
    .find((found) => found !== undefined);
  if (answer !== undefined) return orThrow(answer, parts.host);
  throw new Failure('unreachable', 'the spare gave no answer', {
    where: parts.host,
    why: `exit code ${exitCode}: ${stderr.trim().slice(-300)}`,
  });
}

async function closeSessions({ hot, bulk }: PeerParts): Promise<void> {
  await Promise.all([hot.close(), bulk.close()]);
}

/**
 * Our key may do what it could at the login: a connection that is older than the spare's role is closed, and the work done once
 * more. Several find out at the same moment: what breaks off because another one closed the connection is done once more, too.
 */
async function withFreshLogin<Value>({ hot, bulk }: PeerParts, work: () => Promise<Value>): Promise<Value> {
  const used = [hot, bulk].map((session) => ({ session, connection: session.connection() }));
  try {
    return await work();
  } catch (error) {
    const isStale = error instanceof StaleLogin;
    if (!isStale && !used.some(({ connection }) => connection !== undefined && stale.has(connection))) throw error;
    for (const { session, connection = session.connection() } of used) {
      if (connection !== undefined) stale.add(connection);
      await session.close(connection);
    }
    return await work();
  }
}

/** Closed because the login was old. */
const stale = new WeakSet<Connection>();

type Answer = Readonly<Record<string, unknown>>;

const newNonce = (): string => randomBytes(16).toString('hex');

async function push(parts: PeerParts, drop: DropToPush, options: PushOptions): Promise<Receipt | undefined> {
  const session = options.bulk ? parts.bulk : parts.hot;
  await session.open(options.signal);
  const nonce = newNonce();
  const words = `push ${drop.stream} ${formatEpoch(drop.epoch)} ${drop.sequence} ${drop.digest} ${nonce}`;
  const request = await signed(parts, words);
  let answer: Answer | undefined;
  const onErrorLine = (line: string): void => {
    answer ??= readAnswer(line, nonce);
  };
  const { host, bandwidthLimit } = parts;
  const sent = parts.rsync({
    bulk: options.bulk,
    signal: options.signal,
    directory: drop.directory,
    request,
    remoteShell: session.remoteShell,
    host,
    bandwidthLimit,
    onErrorLine,
  });
  await sent.catch((error: unknown) => {
    if (answer !== undefined) orThrow(answer, host); // the gate's own words say more than rsync's exit code
    session.doubt();
    throw error;
  });
  if (answer === undefined) throw new Failure('unreachable', 'the spare gave no answer to a push', { where: host });
  const { receipt } = orThrow(answer, host);
  return typeof receipt === 'string'
    ? parseSigned(unseal(await signingKeys(parts), 'receipt', receipt), parseReceipt)
    : undefined;
}

function readAnswer(line: string, nonce: string): Answer | undefined {
  if (!line.startsWith('{') || !line.includes(nonce)) return undefined;
  try {
    const answer = JSON.parse(line) as Answer;
    return answer['nonce'] === nonce ? answer : undefined;
  } catch {
    return undefined; // noise: a login banner, a warning of the shell
  }
}

/** A refusal is not signed: it may say no, but not stop us for good, silence us, or fill our disk with its reasons. */
function orThrow(answer: Answer, host: string): Answer {
  if (answer['ok'] === true) return answer;
  const why = textIn(answer['why']).slice(0, longestWhy);
  if (answer['login'] === 'stale') throw new StaleLogin(why, host);
  const named = believedClasses.find((one) => one === answer['class']) ?? 'refused';
  throw named === 'latched'
    ? new ClaimedOvertaken(why, host)
    : new Failure(named, 'the spare says', { where: host, why, ...(why.startsWith(notUnderstood) ? sameVersion : {}) });
}

/** Nobody signed it: it may be anything, also what does not become text. */
const textIn = (value: unknown): string => (typeof value === 'string' ? value : 'nothing that is text');

/** The grammar of another program: a sentence about words that nobody typed is of no use alone. */
const notUnderstood = 'request refused';
const sameVersion = { hint: 'If another version of pe-failover runs there, install the same one on both masters' };

const longestWhy = 500;
const believedClasses = [
  'bad-data',
  'unreachable',
  'dependency',
  'refused',
  'latched',
  'config',
  'usage',
  'bug',
] as const;

/** The gate says that we were overtaken: true only if the spare's signed greeting says so, too. */
export class ClaimedOvertaken extends Failure {
  constructor(why: string, where: string) {
    super('refused', 'the spare says', { where, why });
  }
}

/** The first greeting introduces the spare: its line must be signed by the key that the line itself names. */
function verifyGreeting(answer: Answer, known: KnownPeer | undefined, host: string): Greeting {
  const [gateLine, helloLine] = [answer['gate'], answer['hello']];
  if (typeof gateLine !== 'string' || typeof helloLine !== 'string') {
    throw new Failure('refused', "the spare's agent has not run yet", {
      hint: 'On the spare, type: systemctl enable --now pe-failover',
    });
  }
  const pairing: KnownPeer = known ?? parsePairing(parseSigned(readSealed(helloLine, 'message'), parseHello).pairing);
  const keys = signingKeysOf(pairing);
  if (!isSealedBy(keys, 'message', helloLine)) throw notTheKnownOne(pairing, host);
  const signed = unseal(keys, 'message', helloLine);
  const hello = parseSigned(signed, parseHello);
  const gate = parseSigned(signed, () => parseGate(unseal(keys, 'gate', gateLine)));
  const byNext = isSealedBy(pairing.signingKey, 'message', helloLine) ? {} : ({ byNext: true } as const);
  return { gate, hello, pairing, ...byNext, at: textIn(answer['clock']).slice(0, 40) };
}

/** Never replaced by its own greeting: whoever has the spare's sshd would be believed. */
function notTheKnownOne({ certname, signingKey }: Pairing, host: string): Failure {
  return new Failure('config', 'the spare is not the one that is known here', {
    where: host,
    why: `its greeting does not carry the signature of ${certname}, whose signing key is ${fingerprint(signingKey)}`,
    hint: `If it was installed anew or replaced, type: pe-failover install --active --passive-master ${host} --renew-host-key. If not, somebody else answers there`,
  });
}

async function signed(parts: PeerParts, words: string): Promise<string> {
  const { certname } = await spareOf(parts);
  return withSignature(words, parts.signer.sign('request', requestText(words, certname)));
}

const signingKeys = async (parts: PeerParts): Promise<readonly string[]> => signingKeysOf(await spareOf(parts));

async function spareOf(parts: PeerParts): Promise<KnownPeer> {
  const known = await parts.known();
  if (known !== undefined) return known;
  throw new Failure('refused', 'the spare is not known yet', {
    where: parts.host,
    why: 'its first greeting is still awaited',
  });
}
