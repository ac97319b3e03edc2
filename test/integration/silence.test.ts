import { describe, expect, it } from 'vitest';
import { createAgentPair, startBoth } from '../helpers/agents.ts';

// Files alone travel; a master that lives confirms them once a minute.
const config = (): string =>
  'jobs: {sync_certs: {enabled: false}, update_passive_ca: {enabled: false}, sync_files: {every: 2s}}\n' +
  'freshness: {sync_files: 110s}\n';
const silent = /agent\.sh ---> \[FAILURE\] Nothing of sync-files was confirmed for .*, the limit is 1 min 50 s/;
const heard = /agent\.sh ---> \[SUCCESS\] sync-files is confirmed again after/;

describe.concurrent('a master that was killed', () => {
  it('is missed by its spare, which says so by itself, once, and when it is back', { timeout: 480_000 }, async () => {
    await using pair = await createAgentPair(config);
    const { a, b } = pair;
    await startBoth(pair);
    await a.stop('SIGKILL');
    expect(await b.says(silent, 180_000)).toContain('Here and on mastera.test, type: pe-failover status');
    a.start();
    await b.says(heard, 270_000);
    expect(b.log.filter((line) => silent.test(line))).toHaveLength(1);
  });

  it('is missed by its active, though sshd and the gate there go on', { timeout: 480_000 }, async () => {
    await using pair = await createAgentPair(config);
    const { a, b } = pair;
    await startBoth(pair);
    await b.stop('SIGKILL');
    expect(await a.says(silent, 180_000)).toContain('Here and on masterb.test, type: pe-failover status');
    b.start();
    await a.says(heard, 270_000);
    expect(a.log.filter((line) => silent.test(line))).toHaveLength(1);
  });
});
