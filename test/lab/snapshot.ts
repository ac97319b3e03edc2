import { rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import type { LabMaster } from './pair.ts';
import { run } from './places.ts';

/** The disk of a host as it was, orderly shut down, at one moment. */
export interface Snapshot extends Disposable {
  /** The host dies without a word, and comes up with the disk of then. */
  putBack(): Promise<void>;
}

/** The host runs before and after it. */
export async function takeSnapshot(host: LabMaster): Promise<Snapshot> {
  const copy = `${host.image}.of-then`;
  await host.shutDown();
  await copyDisk(host.image, copy);
  await host.boot();
  return {
    putBack: async () => {
      await host.die({ powerLoss: true });
      await copyDisk(copy, host.image);
      host.syslog.forget();
      await host.boot(withoutSyslog);
    },
    [Symbol.dispose]: () => rmSync(copy, { force: true }),
  };
}

export const copyDisk = (from: string, to: string): Promise<string> =>
  run('cp', ['--sparse=always', '--reflink=auto', from, to], 300_000);

/** What was said before the disk was copied is not said again. */
export const withoutSyslog = (root: string): Promise<void> =>
  Promise.resolve(truncateSync(join(root, 'var/log/syslog'), 0));
