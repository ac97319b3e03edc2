import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError, type Exec } from '../system/exec.ts';

/** A certificate of the CA here, as an admin cleans it: puppetserver's own command, which talks to the service. */
export interface HostCertificates {
  isThere(host: string): Promise<boolean>;
  /** Revokes and removes it. Throws `dependency`. */
  clean(host: string, signal: AbortSignal): Promise<void>;
}

const shipped = '/opt/puppetlabs/bin/puppetserver';

export const createHostCertificates = (exec: Exec, cadir: () => Promise<string>): HostCertificates => ({
  isThere: async (host) => existsSync(join(await cadir(), 'signed', `${host}.pem`)),
  clean: async (host, signal) => {
    const file = existsSync(shipped) ? shipped : 'puppetserver';
    const args = ['ca', 'clean', '--certname', host];
    await exec({ file, args, timeoutMs: 120_000, signal }).catch((error: unknown) => {
      if (!(error instanceof CommandError)) throw error;
      throw error.toFailure('the certificate could not be cleaned', `Type by hand: ${file} ${args.join(' ')}`);
    });
  },
});
