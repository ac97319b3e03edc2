import { recordAdoption } from '../agent/adoption.ts';
import { openHost, openMaster } from '../app.ts';
import { Failure } from '../errors.ts';
import { normalFingerprint } from '../rules/hello.ts';
import { caState } from '../surroundings.ts';
import { readRole } from '../system/fact.ts';

/** On the spare: lets the active's CA (by its fingerprint) and its databases replace what is here. Recorded; the agents do it. */
export async function adopt(root: string, fingerprint: string): Promise<number> {
  const wanted = normalFingerprint(fingerprint);
  const host = await openHost(root);
  const { role } = await readRole(host.paths.fact);
  if (role.role !== 'passive')
    throw new Failure('refused', 'only a spare adopts', { why: `this master is ${role.role}` });
  const master = await openMaster(host, { stderr: false });
  const here = (await caState(master)).fingerprint === wanted;
  await recordAdoption(master, here ? undefined : wanted);
  await master.log.close();
  if (here) console.log(`The CA ${wanted} is here already. The data of the active may now replace what is here.`);
  else
    console.log(
      `Asked for the CA ${wanted}. Both agents do the rest. To wait for it, type: pe-failover status --wait ca-ready`,
    );
  return 0;
}
