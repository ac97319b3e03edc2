import { randomBytes } from 'node:crypto';
import {
  installChanges,
  ownPairing,
  type Change,
  type InstallOrder,
  type InstallParts,
} from '../agent/installation.ts';
import { openHost, openMaster, sampleConfig, type Host } from '../app.ts';
import { Failure } from '../errors.ts';
import { counted } from '../rules/spoken.ts';
import { normalFingerprint } from '../rules/hello.ts';
import { formatPairing, parsePairing } from '../rules/pairing.ts';
import { exec } from '../system/exec.ts';
import { fingerprint } from '../system/sign.ts';
import { captureHostKey } from '../system/ssh-host-key.ts';
import { recordAdoption } from '../agent/adoption.ts';

export interface InstallOptions {
  readonly active: boolean;
  readonly passive: boolean;
  readonly passiveMaster: string | undefined;
  readonly authKey: string | undefined;
  readonly adopt: string | undefined;
  readonly renewHostKey: boolean;
  readonly dryRun: boolean;
}

/** Makes this machine one of the two masters. Running it again changes nothing; the last line is the pairing line. */
export async function install(root: string, options: InstallOptions): Promise<number> {
  const host = await openHost(root);
  const order = await orderOf(host, options);
  const parts: InstallParts = {
    paths: host.paths,
    exec,
    system: host.system,
    user: host.config.transfer.user,
    transferIds: host.transferIds,
    sampleConfig: sampleConfig(),
    newEpochId: () => randomBytes(8).toString('hex'),
  };
  const changed = await make(installChanges(parts, order), options.dryRun);
  if (options.dryRun) {
    console.log(
      changed === 0 ? 'Nothing to change.' : `${counted(changed, 'change')} would be made. Nothing was done.`,
    );
    return 0;
  }
  if (changed === 0) console.log('Nothing to change: this master is installed.');
  return await conclude(host, order, options);
}

async function orderOf(host: Host, options: InstallOptions): Promise<InstallOrder> {
  const { active, passive, passiveMaster, authKey, renewHostKey } = options;
  if (active === passive)
    throw new Failure('usage', 'say which one this master is', {
      hint: 'Type: pe-failover install --active --passive-master HOST, or pe-failover install --passive --auth-key "LINE"',
    });
  if (passive) {
    if (authKey === undefined)
      throw new Failure('usage', '--auth-key is missing', {
        hint: 'It takes the line that pe-failover install --active prints on the active',
      });
    const { certname, signingKey } = parsePairing(authKey);
    console.log(`The active is ${certname}, signing key ${fingerprint(signingKey)}`);
    return { role: 'passive', pairingLine: authKey.trim() };
  }
  if (passiveMaster === undefined)
    throw new Failure('usage', '--passive-master is missing', { hint: 'It takes the host name of the spare' });
  const alias = host.config.ssh.host_key_alias ?? passiveMaster;
  return {
    role: 'active',
    passiveMaster,
    alias,
    passiveHostKey: await lookUpHostKey(host, passiveMaster),
    renewHostKey,
  };
}

/** Shown before it is trusted. A spare that is not there yet is pinned by running install once more. */
async function lookUpHostKey(host: Host, name: string): Promise<string | undefined> {
  try {
    const key = await captureHostKey(host.config.peer_address ?? name, host.config.ssh.port, 5_000);
    console.log(`The host key of ${name} is ${key.split(' ')[0] ?? ''} ${fingerprint(key.split(' ')[1] ?? '')}`);
    return key;
  } catch (error) {
    if (!(error instanceof Failure) || error.class !== 'unreachable') throw error;
    console.log(`WARNING: ${error.message}`);
    return undefined;
  }
}

async function make(changes: readonly Change[], dryRun: boolean): Promise<number> {
  let count = 0;
  for (const change of changes) {
    if (!(await change.isNeeded())) continue;
    count += 1;
    console.log(`${dryRun ? 'would ' : ''}${change.what}`);
    if (!dryRun) await change.make();
  }
  return count;
}

async function conclude(host: Host, order: InstallOrder, { adopt }: InstallOptions): Promise<number> {
  if (order.role === 'passive') {
    const master = await openMaster(host, { stderr: false });
    await master.keys.write(parsePairing(order.pairingLine), 'drops');
    await master.spare.introduce();
    if (adopt !== undefined) await recordAdoption(master, normalFingerprint(adopt));
    await master.log.close();
    console.log('Next: start the agent here (pe-failover agent, or systemctl enable --now pe-failover).');
    return 0;
  }
  const pairing = await ownPairing(host.paths, host.certname, host.hostKeyPath);
  console.log(
    `Signing key ${fingerprint(pairing.signingKey)}. On the spare, type: pe-failover install --passive --auth-key "LINE", with this LINE:`,
  );
  console.log(formatPairing(pairing));
  if (order.passiveHostKey !== undefined) return 0;
  console.log(
    `Not done: the host key of ${order.passiveMaster} is not pinned. When its sshd answers, run this command again.`,
  );
  return 79;
}
