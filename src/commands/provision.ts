import { join } from 'node:path';
import { arch } from 'node:os';
import { createLocalAgent } from '../agent/local-agent.ts';
import { ownPairing } from '../agent/installation.ts';
import { createRemoteHost, type RemoteHost } from '../agent/remote-host.ts';
import type { AgentView } from '../agent/agent.ts';
import { demandRoot, openHost, openMaster, program, type Host, type Master } from '../app.ts';
import { knownPeer } from '../drops/greeter.ts';
import { Failure } from '../errors.ts';
import { carryOutHere } from '../procedure-work.ts';
import type { CarryOutOptions } from '../procedures/carry-out.ts';
import { provisionSpare, type ProvisionParts } from '../procedures/provision.ts';
import { reportOf, settingsOf } from '../role-work.ts';
import { findNative } from '../rules/native-dr.ts';
import { formatPairing } from '../rules/pairing.ts';
import { provisionLines } from '../rules/provision-lines.ts';
import { caState, classifierOf } from '../surroundings.ts';
import { askControl } from '../system/control.ts';
import { CommandError } from '../system/exec.ts';
import { readRole } from '../system/fact.ts';
import { fingerprint } from '../system/sign.ts';
import { logIn, resolveTarget, type SshLogin } from '../system/ssh-login.ts';
import { createState } from '../system/state.ts';
import { askSecret, openTerminal } from '../system/terminal.ts';

export interface ProvisionOptions extends CarryOutOptions {
  readonly print: boolean;
  readonly sudo: boolean;
  readonly sshConfig: string | undefined;
  /** Below which all lies on the other host: of tests. */
  readonly rootThere: string;
  readonly waitMs: number;
}

/** On the active: makes a host its spare, over ssh; or prints what to type where no login goes there. */
export async function provision(
  root: string,
  host: string,
  options: ProvisionOptions,
  signal: AbortSignal,
): Promise<number> {
  demandRoot(root);
  const here = await openHost(root);
  if (options.print) return await print(here, host);
  await refuseUninstalled(here, host);
  if (options.listSteps) return await carryOutHere(root, options, (master) => listed(master, host, options), signal);
  await using login = await openLogin(here, host, options, signal);
  return await carryOutHere(root, options, (master) => provisionOver(master, host, login, options), signal);
}

const home = join(program, '../..');

async function refuseUninstalled({ paths }: Host, host: string): Promise<void> {
  const { role } = await readRole(paths.fact);
  if (role.role !== 'suspended') return;
  const hint = `Type first: pe-failover install --active --passive-master ${host}`;
  throw new Failure('refused', 'this master is not installed', { where: paths.fact, why: role.why, hint });
}

/** Of an installed master its CA is named, too. */
async function print(host: Host, spare: string): Promise<number> {
  const master = await openMaster(host, { stderr: false, besideAgent: true }).catch(() => undefined);
  const fingerprintHere = master === undefined ? undefined : await caFingerprint(master);
  await master?.log.close();
  const words = { own: host.certname, spare, home, fingerprint: fingerprintHere };
  for (const line of provisionLines(words)) console.log(line);
  return 0;
}

async function caFingerprint(master: Master): Promise<string | undefined> {
  if (!master.config.jobs.sync_certs.enabled) return undefined;
  return (await caState(master)).fingerprint;
}

async function openLogin(
  { exec }: Host,
  host: string,
  { sshConfig }: ProvisionOptions,
  signal: AbortSignal,
): Promise<SshLogin> {
  const terminal = openTerminal();
  const target = await resolveTarget(exec, { host, ...(sshConfig === undefined ? {} : { config: sshConfig }) });
  const password = (prompt: string): Promise<string> => askSecret(prompt, signal);
  return await logIn(exec, target, {
    agent: process.env['SSH_AUTH_SOCK'],
    ...(terminal.isInteractive ? { password } : {}),
    trusts: async (key) => {
      const [type = '', blob = ''] = key.split(' ');
      terminal.say(`The host key of ${target.host} is ${type} ${fingerprint(blob)}, and is not known here.`);
      return terminal.isInteractive && (await terminal.confirm('Is it the right one?', signal));
    },
  });
}

async function provisionOver(master: Master, host: string, login: SshLogin, options: ProvisionOptions) {
  const { sudo, rootThere } = options;
  const there = createRemoteHost({ login, home, root: rootThere, sudo });
  return provisionSpare(await partsOf(master, host, there, login.target.host, options));
}

/** The plan alone: nobody logs in. */
async function listed(master: Master, host: string, options: ProvisionOptions) {
  const nobody = (): never => {
    throw new Failure('bug', 'nobody logged in');
  };
  const there: RemoteHost = { report: nobody, copyProgram: nobody, command: nobody };
  return provisionSpare(await partsOf(master, host, there, host, options));
}

/** `name`: by which the transfer reaches it. */
async function partsOf(
  master: Master,
  host: string,
  there: RemoteHost,
  name: string,
  { waitMs, rootThere }: ProvisionOptions,
): Promise<ProvisionParts> {
  const { paths, certname, config, clock, spare } = master;
  const { build } = settingsOf(master);
  const isPe = config.platform === 'pe';
  return {
    ...{ host, there, clock, waitMs },
    role: async () => (await readRole(paths.fact)).role,
    known: async () => (await knownPeer(createState(paths.state)))?.certname,
    here: {
      ...{ certname, machine: machines[arch()] ?? arch(), build: isPe ? build : '' },
      needs: 2 * config.retention.free_space,
      hasCa: config.jobs.sync_certs.enabled,
      demandsRoot: rootThere === '/',
    },
    ...(isPe && config.jobs.nc_dump.enabled ? { native: (signal: AbortSignal) => lookForNative(master, signal) } : {}),
    installHere: (renew, signal) => installHere(master, name, renew, signal),
    line: async () => formatPairing(await ownPairing(paths, certname, master.hostKeyPath)),
    fingerprint: () => caFingerprint(master),
    status: async () => reportOf(master, await viewOf(paths.control)),
    agent: createLocalAgent(paths.control, spare.gate, clock),
  };
}

/** As `uname -m` calls them. */
const machines: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' };

async function lookForNative(master: Master, signal: AbortSignal) {
  const { certname, config } = master;
  const groups = await classifierOf(master).groups(signal);
  return findNative({ groups, own: certname, databases: config.databases.length > 0 });
}

const viewOf = (control: string): Promise<AgentView | undefined> =>
  askControl(control, 'status', {}, { signal: AbortSignal.timeout(10_000) }).then(
    (seen) => seen as AgentView,
    () => undefined,
  );

/** The command itself, so that there is one way to install. */
async function installHere({ exec, paths }: Master, name: string, renew: boolean, signal: AbortSignal): Promise<void> {
  const words = ['install', '--root', paths.root, '--active', '--passive-master', name];
  const args = [...words, ...(renew ? ['--renew-host-key'] : [])];
  const { exitCode, stdout } = await exec({ file: program, args, accept: [79], timeoutMs: 300_000, signal }).catch(
    (error: unknown) => {
      if (!(error instanceof CommandError)) throw error;
      throw error.toFailure('this master could not be installed', 'Type it by hand: pe-failover install');
    },
  );
  if (exitCode === 0) return;
  const why = stdout.split('\n').find((line) => line.startsWith('Not done')) ?? '';
  throw new Failure('unreachable', 'the host key of the spare is not pinned', { where: name, why });
}
