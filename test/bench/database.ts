import { join } from 'node:path';
import { switchDatabase } from '../../src/puppet/database-switch.ts';
import { createJournal } from '../../src/system/journal.ts';
import { argsFor, dumpDatabase, makeSpare, stage } from '../helpers/database-spare.ts';
import { probing } from '../helpers/outage-probe.ts';
import { buildRbac } from '../helpers/pe-rbac.ts';
import { startCluster } from '../helpers/postgres-cluster.ts';
import { summary, type Measured } from './measured.ts';

const samples = 5;
const tokens = 18_000; // about 10 MB

/** What a client of the database sees at a switch; the services are no part of it. */
export async function benchDatabase(): Promise<Measured[]> {
  await using active = await startCluster();
  await using passive = await startCluster();
  await Promise.all([buildRbac(active, 'pe-rbac', { subjects: 500, tokens }), buildRbac(passive, 'pe-rbac')]);
  const spare = await makeSpare(passive, 'pe-rbac');
  const outages: number[] = [];
  try {
    for (let n = 1; n <= samples; n += 1) {
      const name = `pe-rbac_restore_1_${n}`;
      const oid = await stage(passive, await dumpDatabase(active, 'pe-rbac'), 'pe-rbac', name);
      const args = await argsFor(passive, 'pe-rbac', name, oid);
      const journal = createJournal(join(spare.places.home, 'journal'));
      const { longestMs } = await probing(passive, () => switchDatabase(spare.tools, journal, args));
      outages.push(longestMs);
    }
  } finally {
    await spare.stop();
  }
  return [summary('switch_outage_10mb', 'ms', outages, 50)];
}
