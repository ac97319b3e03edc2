import { expect, test } from 'vitest';
import { unmatchedPatterns } from '../../src/puppet/volatile-patterns.ts';
import { buildRbac } from '../helpers/pe-rbac.ts';
import { startCluster } from '../helpers/postgres-cluster.ts';

test('a pattern that names nothing of the database is told, whether of a table or of a column', async () => {
  const cluster = await startCluster();
  try {
    await buildRbac(cluster, 'pe-rbac', { subjects: 1 });
    await using session = await cluster.open('pe-rbac');
    const patterns = ['public.tokens', 'public.subjects.last_login', 'public.tokenz', 'public.subjects.last_logim'];
    expect(await unmatchedPatterns(session, patterns)).toEqual(['public.tokenz', 'public.subjects.last_logim']);
  } finally {
    await cluster.stop();
  }
});
