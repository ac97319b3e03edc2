import { createHash } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { Failure, isErrno } from '../errors.ts';
import type { Epoch } from '../rules/epoch.ts';
import { isGate, isRival, judgeEntry, rivalName, StaleLogin, type Gate } from '../rules/gate.ts';
import { isOtherId, machineIdOf } from '../rules/machine.ts';
import { readBytesIfThere, readIfThere } from '../system/files.ts';
import { readSealed } from '../system/sign.ts';

/** What the unprivileged gate of a master may see: its inbox, and what root published for it to read. */
export interface ReceiverPaths {
  readonly inbox: string;
  readonly gate: string;
  readonly hello: string;
  readonly status: string;
  /** One file of signed lines a stream. */
  readonly receipts: string;
  readonly madeHere: string;
  /** One signed file an order. */
  readonly replies: string;
  readonly fact: string;
  readonly machineId: string;
}

export interface Receiver {
  /** The certname that the key belongs to: from authorized_keys, never from the caller. */
  readonly peer: string;
  /** This master left the passive role: the key may only ask who we are. */
  readonly helloOnly: boolean;
  /** Id of the keys with which the connection logged in: from authorized_keys, too. */
  readonly login?: string;
  readonly paths: ReceiverPaths;
  /** The peer's root calls: from now on the request may take its time. */
  readonly admitted?: () => void;
  readonly stdin: Readable;
  readonly stdout: (line: string) => void;
  readonly stderr: (line: string) => void;
  /** Tells what the push is at. */
  readonly progress?: (point: PushPoint) => void;
}

/** The points of a push on the spare, in their order. */
export const pushPoints = ['entered', 'locked', 'staging', 'arrived', 'published', 'answering'] as const;
export type PushPoint = (typeof pushPoints)[number];

/** Throws unless this caller may write at this moment. Called before a byte is read, and again under the lock. */
export async function enter(receiver: Receiver, epoch: Epoch): Promise<void> {
  if (isRival(await readGate(receiver.paths.gate), epoch)) await noteRival(receiver, epoch);
  await demandOpen(receiver, epoch);
}

/** The same for a caller of whom nothing is known: nothing is written down. */
export async function demandOpen({ paths, peer }: Receiver, epoch: Epoch): Promise<void> {
  const gate = await readGate(paths.gate);
  const entry = judgeEntry(gate, await hashOfFact(paths.fact), { peer, epoch });
  if (!entry.open) throw new Failure(entry.class, 'refused', { why: entry.why });
}

/** A copy of this master's disk has its keys, and would be believed: it answers nothing, before its agent has noticed it too. */
export async function refuseCopy({ paths }: Receiver): Promise<void> {
  const gate = await readGate(paths.gate);
  if (gate === undefined || !isOtherId(gate.machine, machineIdOf((await readIfThere(paths.machineId)) ?? ''))) return;
  throw new Failure('refused', 'refused', { why: 'the state here belongs to another machine: this is a copy' });
}

/** sshd looks at the key at the login alone, and a connection stays open for days: one of a key that was changed ends here. */
export async function refuseOldLogin({ paths, login }: Receiver): Promise<void> {
  const gate = await readGate(paths.gate);
  if (gate?.logins === undefined || (login !== undefined && gate.logins.includes(login))) return;
  throw new StaleLogin('this connection logged in with a key that is known no more');
}

/** Undefined: not there, or not for us to read. An editor made it anew, and the agent gives its mode back in a moment. */
async function hashOfFact(path: string): Promise<string | undefined> {
  const fact = await readBytesIfThere(path).catch((error: unknown) => {
    if (isErrno(error, 'EACCES', 'EPERM')) return undefined;
    throw error;
  });
  return fact === undefined ? undefined : createHash('sha256').update(fact).digest('hex');
}

/** Told to the agent, which raises the alarm on this side too; the name is the key's, the epoch only the caller's word. */
async function noteRival({ paths, peer }: Receiver, epoch: Epoch): Promise<void> {
  const temporary = join(paths.inbox, `.rival.${process.pid}`);
  await writeFile(temporary, JSON.stringify({ peer, epoch }), { mode: 0o600 });
  await rename(temporary, join(paths.inbox, rivalName));
}

export async function readGate(path: string): Promise<Gate | undefined> {
  const line = await readIfThere(path);
  if (line === undefined) return undefined;
  const gate = readSealed(line, 'gate');
  if (!isGate(gate)) throw new Failure('refused', 'refused', { where: path, why: 'the gate file is unreadable' });
  return gate;
}

export const streamDirectory = (paths: ReceiverPaths, stream: string): string => join(paths.inbox, stream);
