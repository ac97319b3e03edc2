import { toFailure } from '../errors.ts';
import { signingKeysOf, type KnownPeer } from '../rules/pairing.ts';
import { parseSigned } from '../rules/program.ts';
import { parseKeyMessage, type KeyMessage } from '../rules/rotation.ts';
import { openHostileTree, type HostileTree } from '../system/beneath.ts';
import { isSealedBy, unseal } from '../system/sign.ts';

const longest = 64 * 1024;
/** The gate has a name with a dot for the moment of a write alone. */
const leftOverMs = 60_000;

/** The signed lines that the gate has kept for root; they are removed. What is no file of ours, or too long, is removed unread. */
export async function takeMessages(inbox: string, now: Date): Promise<string[]> {
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

export interface HeardMessage {
  readonly words: KeyMessage;
  /** The peer's next key signed it. */
  readonly byNext: boolean;
}

/** What such a line says of keys; undefined for another kind, and for another master. Throws `bad-data`. */
export function readMessage(line: string, peer: KnownPeer, certname: string): HeardMessage | undefined {
  const words = parseSigned(unseal(signingKeysOf(peer), 'message', line), parseKeyMessage);
  if (words === undefined || words.source !== peer.certname || words.target !== certname) return undefined;
  return { words, byNext: !isSealedBy(peer.signingKey, 'message', line) };
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
