import { leapOfCrls } from '../rules/crl.ts';
import { readAccounts } from '../system/accounts.ts';
import type { Exec } from '../system/exec.ts';
import { applySteps } from './ca-apply.ts';
import { liveLists, type LiveCa } from './ca-live.ts';

export interface LeapTools {
  readonly live: LiveCa;
  readonly exec: Exec;
  /** Gets the list as it was. */
  readonly archive: string;
  readonly signal: AbortSignal;
}

/**
 * Issues every CRL anew whose key is here, with the same revocations and a number that no list of the other master comes near.
 * Returns how many. A crash leaves the old list or the new one; done twice, it leaps twice.
 */
export async function leapCrls({ live, exec, archive, signal }: LeapTools): Promise<number> {
  const authorities = await live.authorities();
  const signable = new Set<string>();
  for (const authority of authorities) if (await live.hasKeyOf(authority)) signable.add(authority.subject);
  const before = await liveLists(live);
  const decideCrls = leapOfCrls(before, (issuer) => signable.has(issuer));
  const issuers = decideCrls(before);
  const steps = applySteps({
    ...{ live, exec, archive, signal, authorities, decideCrls },
    plan: { actions: [{ kind: 'crl', issuers }], bothSigned: [], kept: [] },
    source: () => archive, // no file comes from anywhere
    described: () => undefined,
    accounts: await readAccounts(),
    crls: { incoming: [], accepted: [], forgiven: new Set() },
    decideInfra: () => [],
  });
  for (const step of steps) if (!(await step.isDone())) await step.do();
  return issuers.filter(({ use }) => use === 'union').length;
}
