import { knownPeer } from '../drops/greeter.ts';
import type { OwnKeys } from '../drops/own-keys.ts';
import type { PeerKeys } from '../drops/peer-keys.ts';
import type { Greeting } from '../drops/peer.ts';
import type { Spare } from '../drops/spare.ts';
import type { Paths } from '../rules/paths.ts';
import { programVersion } from '../rules/program.ts';
import type { KeyMessage } from '../rules/rotation.ts';
import type { Clock } from '../system/clock.ts';
import type { JobLog } from '../system/log.ts';
import { seal } from '../system/sign.ts';
import { createState } from '../system/state.ts';
import type { AgentView } from './agent.ts';
import { isWaitingSince, type HeardKeys } from './messages.ts';

export interface KeyCareParts {
  readonly paths: Paths;
  readonly certname: string;
  readonly clock: Clock;
  readonly ownKeys: OwnKeys;
  readonly peerKeys: PeerKeys;
  readonly spare: Pick<Spare, 'gate' | 'introduce'>;
  readonly log: JobLog;
}

/** Hears what the other master said of keys, in messages, and lets in those that count. Done again and again, in any role. True when that changed. */
export async function followPeer(parts: KeyCareParts, heard: readonly HeardKeys[]): Promise<boolean> {
  if ((await knownPeer(createState(parts.paths.state))) === undefined) return false;
  for (const { keys, byNext } of heard) {
    await parts.peerKeys.hear(keys, byNext);
    await parts.ownKeys.heard(keys.accepts ?? []);
  }
  return await settle(parts);
}

/**
 * The same for what a spare says in its greeting. Gives the signed line that it is to be told, where keys change on either side;
 * a spare of an older version is told nothing.
 */
export async function answerGreeting(parts: KeyCareParts, greeting: Greeting): Promise<string | undefined> {
  const { ownKeys, peerKeys, certname, spare } = parts;
  const { hello, pairing, byNext } = greeting;
  await peerKeys.hear(hello, byNext === true);
  await settle(parts);
  if (hello.accepts === undefined) return undefined;
  await ownKeys.heard(hello.accepts);
  const next = await ownKeys.next();
  if (next === undefined && hello.next === undefined) return undefined;
  const accepts = (await spare.gate.read())?.logins;
  const message: KeyMessage = {
    ...{ format: 1, kind: 'keys', source: certname, target: pairing.certname, program: programVersion },
    ...(next === undefined ? {} : { next }),
    ...(accepts === undefined ? {} : { accepts }),
  };
  return seal(ownKeys.signer, 'message', message);
}

async function settle({ paths, clock, peerKeys, spare }: KeyCareParts): Promise<boolean> {
  const role = (await spare.gate.read())?.role;
  const changed = await peerKeys.settle(
    async (since) => role === 'active' || !(await isStillNeeded(paths, clock, Date.parse(since))),
  );
  if (changed) await spare.introduce();
  return changed;
}

/** What nobody takes in keeps the old keys for so long at most. */
const neededMs = 3_600_000;

/** The old key signed what was published before the next one was in use. */
const isStillNeeded = async ({ inbox }: Paths, clock: Clock, since: number): Promise<boolean> =>
  clock.now().getTime() - since < neededMs && (await isWaitingSince(inbox, since));

const shortMs = 20_000;
const patienceMs = 6 * 3_600_000;

/** A switch ends the role session and opens another: a long pass, such as the push of a dump, ends first. */
export async function isTimeToSwitch({ ownKeys, clock }: KeyCareParts, view: AgentView): Promise<boolean> {
  const rotation = await ownKeys.rotation();
  if (rotation?.stage !== 'acknowledged' || view.changing !== undefined) return false;
  const isLong = view.jobs.some(({ runningMs }) => runningMs !== undefined && runningMs > shortMs);
  return !isLong || clock.now().getTime() - Date.parse(rotation.at) > patienceMs;
}
