import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openTestCa } from '../stand-in/ca.ts';
import { eventually } from './eventually.ts';
import { untilAgreed, type LabMaster, type LabPair } from './pair.ts';

// Roles as an admin turns them round: by facts alone.

export const passive = { pe_failover_mode: 'passive' };
export const activeOver = (spare: LabMaster) => ({
  pe_failover_mode: 'active',
  pe_failover_passive_master: spare.fqdn,
});

export const has = (master: LabMaster, name: string): boolean =>
  existsSync(join(master.cadir, 'signed', `${name}.pem`));
export const is = (master: LabMaster, role: string, withinMs = 30_000): Promise<unknown> =>
  eventually(`${master.name} is ${role}`, async () => (await master.status()).role === role, { withinMs });
export const signOn = async (master: LabMaster, name: string): Promise<bigint> =>
  (await openTestCa(master.cadir)).sign(name);

/** The one is demoted, then the other promoted. */
export async function exchange(active: LabMaster, spare: LabMaster): Promise<void> {
  await active.editFact(passive);
  await is(active, 'passive');
  await spare.editFact(activeOver(active));
  await is(spare, 'active');
}

/** Back to how every scenario begins: mastera active, masterb its spare, both with everything. */
export async function asAtFirst(pair: Pick<LabPair, 'a' | 'b'>): Promise<void> {
  const { a, b } = pair;
  if ((await b.status()).role === 'active') {
    await a.editFact(passive);
    await is(a, 'passive');
    await untilAgreed(pair);
    await exchange(b, a);
  }
  await untilAgreed(pair);
}
