import { join } from 'node:path';
import { openHost, openMaster, type Master } from '../app.ts';
import { knownPeer } from '../drops/greeter.ts';
import { Failure } from '../errors.ts';
import { formatPairing } from '../rules/pairing.ts';
import type { Rotation } from '../rules/rotation.ts';
import { askControl } from '../system/control.ts';
import { acquireLock } from '../system/lock.ts';
import { fingerprint } from '../system/sign.ts';
import { createState } from '../system/state.ts';

const lookMs = 250;
const nudgeMs = 2_000;
const askMs = 5_000;
const unansweredMs = 60_000;

/**
 * Changes both keys of this master. The command makes the next ones; the agents of both masters do the rest, also when it does not
 * wait for them. Typed again, it goes on waiting. Throws `unreachable` while the other master does not let the next keys in.
 */
export async function rotateKeys(root: string, wait: string, signal: AbortSignal): Promise<number> {
  const waitMs = readWait(wait);
  const master = await openMaster(await openHost(root), { stderr: false, besideAgent: true });
  try {
    const begun = await begin(master);
    const left = await follow(master, begun, waitMs, signal);
    if (left !== undefined) throw waiting(left, await otherOf(master));
    await conclude(master);
    return 0;
  } finally {
    await master.log.close();
  }
}

const units = { s: 1_000, m: 60_000, h: 3_600_000 };

function readWait(text: string): number {
  const [, digits, unit] = /^(\d{1,4})([smh])$/.exec(text) ?? [];
  if (digits !== undefined) return Number(digits) * units[unit as keyof typeof units];
  throw new Failure('usage', '--wait wants a time such as "30s" or "5m"', { where: text });
}

async function begin(master: Master): Promise<Rotation> {
  const { paths, exec, ownKeys } = master;
  const other = await otherOf(master);
  await using lock = await acquireLock(join(paths.locks, 'rotate-keys'), 'makes the next keys');
  const goesOn = (await ownKeys.rotation()) !== undefined;
  const begun = await ownKeys.begin(exec);
  await lock.note('done');
  console.log(
    goesOn
      ? `A change of the keys goes on since ${begun.at}`
      : `The next keys are made. ${other} is told, and the keys in use stay in use until it lets the next ones in`,
  );
  if (!(await isAgentThere(master, signalOf(askMs))))
    console.log('No agent runs here: it goes on when one does. Type: systemctl start pe-failover');
  return begun;
}

async function otherOf({ paths }: Master): Promise<string> {
  const peer = await knownPeer(createState(paths.state));
  if (peer !== undefined) return peer.certname;
  throw new Failure('refused', 'no other master is known here', {
    why: 'nobody has these keys yet: there is nobody to tell',
    hint: 'To make new ones, move the keys away and type: pe-failover install',
  });
}

const signalOf = (ms: number): AbortSignal => AbortSignal.timeout(ms);

const isAgentThere = ({ paths }: Master, signal: AbortSignal): Promise<boolean> =>
  askControl(paths.control, 'status', {}, { signal }).then(
    () => true,
    () => false,
  );

/** Says each step once; gives what still goes on when the time is over. */
async function follow(
  { ownKeys, paths, clock }: Master,
  begun: Rotation,
  waitMs: number,
  signal: AbortSignal,
): Promise<Rotation | undefined> {
  const began = clock.monotonic();
  let [said, nudgedAt] = [begun.stage, -Infinity];
  let isToldSlow = false;
  for (;;) {
    const open = await ownKeys.rotation();
    if (open === undefined || open.to !== begun.to) return undefined;
    if (open.stage !== said) console.log(sentences[open.stage]);
    said = open.stage;
    const waited = clock.monotonic() - began;
    if (waited >= waitMs) return open;
    if (open.stage === 'told' && waited >= unansweredMs && !isToldSlow) {
      console.log('The other master has not answered for a minute');
      isToldSlow = true;
    }
    if (waited - nudgedAt >= nudgeMs) {
      nudgedAt = waited;
      // An active asks its spare now; a spare is asked by its active twice a minute.
      void askControl(paths.control, 'run', { job: 'greet-spare' }, { signal }).catch(() => undefined);
    }
    await clock.sleep(lookMs, signal);
  }
}

const sentences: Readonly<Record<Rotation['stage'], string>> = {
  told: 'The other master is told',
  acknowledged: 'The other master lets the next keys in. They are taken into use between two passes',
  switching: 'The next keys are taken into use',
  switched: 'The next keys are in use. The other master is to forget the old ones',
};

function waiting({ stage }: Rotation, other: string): Failure {
  const isTold = stage === 'told';
  return new Failure('unreachable', 'the keys are not changed yet', {
    why: isTold
      ? `${other} has not said that it lets the next keys in: the old ones stay in use here`
      : stage === 'switched'
        ? `the next keys are in use, and ${other} has not said that it forgot the old ones`
        : 'the next keys wait for the end of a long pass here',
    hint: `It goes on by itself. Look whether the agent runs on both masters${isTold ? ', and is of the same version' : ''}; to wait again, type: pe-failover rotate-keys`,
  });
}

async function conclude(master: Master): Promise<void> {
  // Anew: the keys in use were others when this command began.
  const { ownKeys, log } = await openMaster(await openHost(master.paths.root), { stderr: false, besideAgent: true });
  await log.close();
  console.log(
    `The keys are changed: signing key ${fingerprint(ownKeys.pairing.signingKey)}. The old ones get nothing any more.`,
  );
  console.log(
    `In the fact of the other master, and in what writes it, let pe_failover_key have this line from now on where it stands (the line before it is known as the old one of the same master):`,
  );
  console.log(formatPairing(ownKeys.pairing));
}
