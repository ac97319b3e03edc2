import { Client } from 'pg';
import type { Cluster } from './postgres-cluster.ts';

/**
 * A client of pe-rbac that asks all the time, and again every 5 ms while nothing answers. Gives the longest time without
 * an answer, in milliseconds; it ends with the database answering again.
 */
export async function probing<Value>(
  cluster: Cluster,
  work: () => Promise<Value>,
): Promise<{ value: Value; longestMs: number }> {
  let going = true;
  let longestMs = 0;
  let last = performance.now();
  let client: Client | undefined;
  const once = async (): Promise<void> => {
    if (client === undefined) {
      const fresh = new Client({ host: cluster.socket, user: 'pe-rbac-write', database: 'pe-rbac' });
      fresh.on('error', () => (client = undefined));
      await fresh.connect();
      client = fresh;
    }
    await client.query('SELECT count(*) FROM roles');
    longestMs = Math.max(longestMs, performance.now() - last);
    last = performance.now();
  };
  const loop = async (): Promise<void> => {
    while (going || client === undefined) {
      await once().catch(() => (client = undefined));
      await new Promise((done) => setTimeout(done, 5));
    }
    await client.end();
  };
  const ended = loop();
  const value = await work().finally(() => (going = false));
  await ended;
  return { value, longestMs };
}
