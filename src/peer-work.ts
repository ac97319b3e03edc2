import type { Agent, AgentView } from './agent/agent.ts';
import { followPeer, isTimeToSwitch } from './agent/key-care.ts';
import { oldLineInFact } from './agent/key-report.ts';
import { hearMessages } from './agent/messages.ts';
import { createOrderDesk, type OrderDesk } from './agent/order-desk.ts';
import { foreignState, type Master } from './app.ts';
import { createReplies } from './drops/replies.ts';
import { toFailure } from './errors.ts';
import { orderHandlers } from './order-work.ts';
import { keyCare } from './role-work.ts';
import { ensureDirectory } from './system/files.ts';
import { createLoginSessions, type LoginSessions } from './system/login-sessions.ts';
import { fingerprint } from './system/sign.ts';
import { createState } from './system/state.ts';

const peerMs = 1_000;

/** Below a root of its own there is no transfer user whose connections are ours to end. */
export async function sessionsOf(master: Master): Promise<LoginSessions | undefined> {
  const ids = master.system ? await master.transferIds() : undefined;
  return ids === undefined ? undefined : createLoginSessions(ids.uid);
}

const nobody = (): Promise<number> => Promise.resolve(0);

/** What the other master says: its orders are carried out, and a change of keys, on either side, goes on. */
export async function careForPeer(
  master: Master,
  agent: Agent,
  sessions: LoginSessions | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { log, clock, session } = master;
  const parts = keyCare(master);
  const desk = await openOrderDesk(master, () => agent.view());
  let [failing, isNews] = [false, true];
  while (!signal.aborted) {
    try {
      const heard = await hearMessages({ ...master, log: parts.log });
      for (const message of heard) if ('order' in message) await desk.hear(message.order);
      isNews =
        (await followPeer(
          parts,
          heard.flatMap((one) => ('keys' in one ? [one] : [])),
        )) || isNews;
      const old = isNews ? await oldLineInFact(master.paths) : undefined;
      if (old !== undefined) parts.log.warning(old);
      isNews = false;
      await master.peerKeys.endOldSessions(sessions?.endOld ?? nobody);
      if (await isTimeToSwitch(parts, agent.view())) agent.reload();
      if (failing) log.worked('agent');
      failing = false;
    } catch (error) {
      log.failed('agent', session.explain(toFailure(error)));
      failing = true;
    }
    await clock.sleep(peerMs, signal).catch(() => undefined);
  }
  await desk.close();
}

async function openOrderDesk(master: Master, view: () => AgentView): Promise<OrderDesk> {
  const { paths, signer, published, certname, clock } = master;
  await ensureDirectory(paths.replies, { ...published, mode: 0o750 });
  return await createOrderDesk({
    ...{ certname, clock, log: master.log.forJob('agent'), state: createState(paths.state) },
    replies: createReplies({ directory: paths.replies, signer, ownership: published }),
    handlers: orderHandlers(master, view),
  });
}

/** Nothing is sent between two sessions. */
export async function switchKeys(master: Master): Promise<void> {
  const { ownKeys, spare, log } = master;
  if ((await foreignState(master)) !== undefined || !(await ownKeys.switchWhereDue(spare.signAnew))) return;
  const { signingKey } = ownKeys.pairing;
  log.forJob('agent').success(`The next keys of this master are in use: signing key ${fingerprint(signingKey)}`);
}
