import { Failure } from '../errors.ts';
import { mostSessions } from '../rules/login-sessions.ts';
import type { LoginSessions } from '../system/login-sessions.ts';

/** Keeps the connections of the transfer user few, so that the honest ones find room; what there is to say of a crowd. */
export async function thinOutCrowd(sessions: LoginSessions | undefined, user: string): Promise<Failure | undefined> {
  const count = (await sessions?.thinOut(mostSessions)) ?? 0;
  if (count <= mostSessions) return undefined;
  return new Failure('refused', `${user} has ${count} connections open, and idle ones are ended`, {
    why: `no more than ${mostSessions} are kept, and the other master needs fewer than ten`,
    hint: 'If they are not its own, somebody else has its transfer key: type there pe-failover rotate-keys',
  });
}
