import { writeFile } from 'node:fs/promises';
import type { Host } from './host.ts';
import { write } from './provision.ts';

/** A clock of a host's agent, and of what the other master asks of it: hosts share the kernel's. Intervals stay as they are. */
export interface OwnClock {
  /** Seconds before the true time, from the next second on. */
  set(seconds: number): Promise<void>;
  /** What a command has to be given to have it, too. */
  readonly environment: string;
}

const file = '/etc/own-clock';

export async function giveOwnClock(host: Host): Promise<OwnClock> {
  const library = await host.sh('ls /usr/lib/*/faketime/libfaketime.so.1');
  const variables = [
    `LD_PRELOAD=${library}`,
    `FAKETIME_TIMESTAMP_FILE=${file}`,
    'FAKETIME_CACHE_DURATION=1',
    'FAKETIME_DONT_FAKE_MONOTONIC=1',
  ].join(' ');
  const set = (seconds: number): Promise<void> => writeFile(host.path(file), `${seconds < 0 ? '' : '+'}${seconds}\n`);
  await set(0);
  await write(host, '/etc/systemd/system/pe-failover.service.d/clock.conf', `[Service]\nEnvironment=${variables}\n`);
  await write(host, '/etc/ssh/sshd_config.d/clock.conf', `SetEnv ${variables}\n`);
  await host.sh('systemctl daemon-reload; systemctl restart ssh pe-failover');
  return { set, environment: variables };
}
