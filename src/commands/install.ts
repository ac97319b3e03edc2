import { randomBytes } from 'node:crypto';
import { recordAdoption } from '../agent/adoption.ts';
import { makeChanges, type Making } from '../agent/change.ts';
import { installChanges, ownPairing, type InstallOrder, type InstallParts } from '../agent/installation.ts';
import { limitUser } from '../agent/own-slice.ts';
import { placeUnits, startUnits } from '../agent/own-units.ts';
import { demandRoot, openHost, openMaster, program, sampleConfig, template, type Host } from '../app.ts';
import { Failure } from '../errors.ts';
import { counted } from '../rules/spoken.ts';
import { normalFingerprint } from '../rules/hello.ts';
import { formatPairing, parsePairing } from '../rules/pairing.ts';
import { ownUnitsOf } from '../role-work.ts';
import { askControl } from '../system/control.ts';
import { exec } from '../system/exec.ts';
import { fingerprint } from '../system/sign.ts';
import { captureHostKey } from '../system/ssh-host-key.ts';

export interface InstallOptions {
  readonly active: boolean;
  readonly passive: boolean;
  readonly passiveMaster: string | undefined;
  readonly authKey: string | undefined;
  readonly adopt: string | undefined;
  readonly renewHostKey: boolean;
  readonly dryRun: boolean;
  /** Neither enables nor starts the agent. */
  readonly noStart: boolean;
}

/** Makes this machine one of the two masters. Running it again changes nothing; the last line is the pairing line. */
export async function install(root: string, options: InstallOptions, made?: Making['made']): Promise<number> {
  demandRoot(root);
  const host = await openHost(root);
  const order = await orderOf(host, options);
  const { dryRun, noStart } = options;
  const making: Making = { dryRun, say: (line) => console.log(line), ...(made === undefined ? {} : { made }) };
  const units = ownUnitsOf(host);
  const limits = { text: template('transfer-user.conf'), transferIds: host.transferIds };
  const placed =
    units === undefined ? [] : [...limitUser({ ...limits, files: units.files }), ...placeUnits(units, !noStart)];
  const starts = units === undefined || noStart ? [] : startUnits(units);
  let changed = await makeChanges([...installChanges(partsOf(host), order), ...placed], making);
  if (!dryRun) await introduce(host, order, options);
  changed += await makeChanges(starts, making);
  if (!dryRun && changed > 0) await judgedAnew(host);
  if (host.system && units === undefined) console.log(withoutSystemd);
  if (dryRun) {
    console.log(
      changed === 0 ? 'Nothing to change.' : `${counted(changed, 'change')} would be made. Nothing was done.`,
    );
    return 0;
  }
  if (changed === 0) console.log('Nothing to change: this master is installed.');
  return await conclude(host, order, starts.length > 0);
}

/** An agent that was suspended because the state belonged to another machine. Where none runs, the next one looks by itself. */
const judgedAnew = (host: Host): Promise<unknown> =>
  askControl(host.paths.control, 'reload', {}, { signal: AbortSignal.timeout(10_000) }).catch(() => undefined);

const withoutSystemd = `This machine does not run systemd: have its own init start "${program} agent", and "${program} recover --before-services" before PostgreSQL's clients.`;

const partsOf = ({ paths, system, config, machine, transferIds }: Host): InstallParts => ({
  paths,
  machine,
  platform: config.platform,
  exec,
  system,
  user: config.transfer.user,
  transferIds,
  program,
  sampleConfig: sampleConfig(),
  newEpochId: () => randomBytes(8).toString('hex'),
});

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

/** What the active is told when it asks: before the agent runs. */
async function introduce(host: Host, order: InstallOrder, { adopt }: InstallOptions): Promise<void> {
  if (order.role === 'active') return;
  const master = await openMaster(host, { stderr: false });
  await master.spare.introduce();
  if (adopt !== undefined) await recordAdoption(master, normalFingerprint(adopt));
  await master.log.close();
}

async function conclude(host: Host, order: InstallOrder, runs: boolean): Promise<number> {
  const next = runs ? 'The agent runs here.' : 'Next: start the agent here: pe-failover agent, or its unit.';
  console.log(next);
  if (order.role === 'passive') return 0;
  const pairing = await ownPairing(host.paths, host.certname, host.hostKeyPath);
  if (order.passiveHostKey === undefined)
    console.log(
      `Not done: the host key of ${order.passiveMaster} is not pinned. When its sshd answers, run this command again.`,
    );
  console.log(
    `Signing key ${fingerprint(pairing.signingKey)}. On the spare, type: pe-failover install --passive --auth-key "LINE", with this LINE:`,
  );
  console.log(formatPairing(pairing));
  return order.passiveHostKey === undefined ? 79 : 0;
}
