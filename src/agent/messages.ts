import { knownPeer } from '../drops/greeter.ts';
import { toFailure } from '../errors.ts';
import { parseOrder, type Order } from '../rules/order.ts';
import { signingKeysOf, type KnownPeer } from '../rules/pairing.ts';
import type { Paths } from '../rules/paths.ts';
import { parseSigned } from '../rules/program.ts';
import { parseKeyMessage, type KeyMessage } from '../rules/rotation.ts';
import { openHostileTree, type HostileTree } from '../system/beneath.ts';
import type { Clock } from '../system/clock.ts';
import type { JobLog } from '../system/log.ts';
import { isSealedBy, unseal } from '../system/sign.ts';
import { createState } from '../system/state.ts';

export interface HearingParts {
  readonly paths: Pick<Paths, 'inbox' | 'state'>;
  readonly certname: string;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: JobLog;
}

/** Everything that the other master has said since. What nobody can read is said in a WARNING. */
export async function hearMessages({ paths, certname, clock, log }: HearingParts): Promise<HeardMessage[]> {
  const peer = await knownPeer(createState(paths.state));
  if (peer === undefined) return [];
  const heard: HeardMessage[] = [];
  for (const line of await takeMessages(paths.inbox, clock.now())) {
    try {
      const message = readMessage(line, peer, certname);
      if (message !== undefined) heard.push(message);
    } catch (error) {
      const failure = toFailure(error);
      if (failure.class !== 'bad-data') throw failure;
      log.warning(failure.message);
    }
  }
  return heard;
}

const longest = 64 * 1024;
/** The gate has a name with a dot for the moment of a write alone. */
const leftOverMs = 60_000;

/** The signed lines that the gate has kept for root; they are removed. What is no file of ours, or too long, is removed unread. */
async function takeMessages(inbox: string, now: Date): Promise<string[]> {
  await using tree = await openHostileTree(inbox);
  const messages = await believing(tree.directory('messages'));
  if (messages === undefined) return [];
  await using directory = messages;
  const lines: string[] = [];
  for (const name of await directory.names()) {
    if (name.startsWith('.') && !(await isLeftOver(directory, name, now))) continue;
    const line = name.startsWith('.') ? undefined : await believing(directory.readText(name, longest));
    if (line !== undefined) lines.push(line);
    await directory.remove(name);
  }
  return lines;
}

const isLeftOver = async (directory: HostileTree, name: string, now: Date): Promise<boolean> =>
  now.getTime() - ((await directory.changedAt(name)) ?? Infinity) > leftOverMs;

async function believing<Value>(work: Promise<Value>): Promise<Value | undefined> {
  try {
    return await work;
  } catch (error) {
    if (toFailure(error).class === 'bad-data') return undefined;
    throw error;
  }
}

export type HeardMessage = HeardKeys | { readonly order: Order };

export interface HeardKeys {
  readonly keys: KeyMessage;
  /** The peer's next key signed it. */
  readonly byNext: boolean;
}

/** What such a line says; undefined for a kind of a newer version, and for another master. Throws `bad-data`. */
function readMessage(line: string, peer: KnownPeer, certname: string): HeardMessage | undefined {
  const signed = unseal(signingKeysOf(peer), 'message', line);
  const order = parseSigned(signed, parseOrder);
  if (order !== undefined) return order.source === peer.certname ? { order } : undefined;
  const keys = parseSigned(signed, parseKeyMessage);
  if (keys === undefined || keys.source !== peer.certname || keys.target !== certname) return undefined;
  return { keys, byNext: !isSealedBy(peer.signingKey, 'message', line) };
}

/** Whether something lies published in the inbox that came before this time: the keys of then signed it. */
export async function isWaitingSince(inbox: string, since: number): Promise<boolean> {
  await using tree = await openHostileTree(inbox);
  for (const stream of await tree.names()) {
    const opened = await believing(tree.directory(`${stream}/ready`));
    if (opened === undefined) continue;
    await using ready = opened;
    for (const name of await ready.names()) if (((await ready.changedAt(name)) ?? Infinity) <= since) return true;
  }
  return false;
}
