import { lstat } from 'node:fs/promises';
import { checkHooks } from '../agent/hook-files.ts';
import { checkAccount, checkSshd, checkUnits } from '../agent/own-checks.ts';
import { openHost, openMaster, type Host, type Master } from '../app.ts';
import { Failure, toFailure } from '../errors.ts';
import { ownUnitsOf, senderTo, settingsOf } from '../role-work.ts';
import { caState, classifierOf, tryDatabase } from '../surroundings.ts';
import { noEpoch } from '../drops/epoch-book.ts';
import { findNative } from '../rules/native-dr.ts';
import { programVersion } from '../rules/program.ts';
import { counted } from '../rules/spoken.ts';
import { readRole } from '../system/fact.ts';

interface Check {
  readonly name: string;
  /** Throws a Failure with a hint that can be typed, or several; gives a sentence when all is well. */
  run(signal: AbortSignal): Promise<string>;
}

/** The configuration alone: what systemd runs before it starts the agent. */
export async function checkQuick(root: string): Promise<number> {
  await openHost(root);
  console.log('The configuration is good.');
  return 0;
}

/** Tries every dependency of this master, and says of each what is wrong and what to type. Exit code as Nagios counts. */
export async function check(root: string, signal: AbortSignal): Promise<number> {
  const host = await openHost(root);
  const master = await openMaster(host, { stderr: false, besideAgent: true });
  let problems = 0;
  for (const { name, run } of await checksOf(host, master)) {
    try {
      console.log(`ok       ${name}: ${await run(AbortSignal.any([signal, AbortSignal.timeout(60_000)]))}`);
    } catch (error) {
      const found: readonly unknown[] = error instanceof AggregateError ? error.errors : [error];
      problems += found.length;
      for (const problem of found) console.log(`PROBLEM  ${name}: ${toFailure(problem).message}`);
    }
  }
  await master.log.close();
  console.log(problems === 0 ? 'No problem found.' : `${counted(problems, 'problem')} found.`);
  return problems === 0 ? 0 : 2;
}

async function checksOf(host: Host, master: Master): Promise<Check[]> {
  const { role } = await readRole(host.paths.fact);
  const { config } = host;
  const checks: Check[] = [
    { name: 'configuration', run: () => Promise.resolve(`platform ${config.platform}, certname ${host.certname}`) },
    {
      name: 'fact',
      run: () => Promise.resolve(role.role === 'suspended' ? fail(role.why, role.hint) : role.role),
    },
    { name: 'keys', run: () => privateKeys(host) },
    { name: 'hooks', run: () => checkHooks(host.paths) },
    ...ownChecks(host),
    { name: 'CA', run: () => tryCa(master, role.role === 'passive') },
  ];
  if (role.role === 'active' && role.passiveMaster !== undefined) checks.push(spareCheck(master, role.passiveMaster));
  if (config.jobs.nc_dump.enabled)
    checks.push({
      name: 'classifier',
      run: async (signal) => `${(await classifierOf(master).groups(signal)).length} groups`,
    });
  if (config.jobs.nc_dump.enabled && config.platform === 'pe')
    checks.push({ name: "PE's own DR", run: (signal) => tryNative(master, signal) });
  for (const database of settingsOf(master).databases) {
    checks.push({
      name: `database ${database.name}`,
      run: async (signal) => await tryDatabase(master, database, role.role === 'passive', signal),
    });
  }
  return checks;
}

/** Of what install made, on root's own machine. */
function ownChecks(host: Host): Check[] {
  if (!host.system) return [];
  const parts = { ...host, user: host.config.transfer.user };
  const units = ownUnitsOf(host);
  return [
    { name: 'transfer user', run: () => checkAccount(parts) },
    { name: 'sshd', run: () => checkSshd(parts) },
    ...(units === undefined ? [] : [{ name: 'units', run: () => checkUnits(units) }]),
  ];
}

const spareCheck = (master: Master, name: string): Check => ({
  name: `spare ${name}`,
  run: async (signal) => {
    const sender = await senderTo(master, name, noEpoch, settingsOf(master).build);
    try {
      const { gate, hello } = await sender.peer.hello(signal);
      const version = hello.program ?? 'an unknown version';
      const other = version === programVersion ? '' : `, with ${version} of pe-failover (here: ${programVersion})`;
      return `${gate.certname} is ${gate.role}${gate.closed === undefined ? '' : `, closed: ${gate.closed}`}${other}`;
    } finally {
      await sender.close();
    }
  },
});

async function tryNative(master: Master, signal: AbortSignal): Promise<string> {
  const { certname, config } = master;
  const groups = await classifierOf(master).groups(signal);
  const found = findNative({ groups, own: certname, databases: config.databases.length > 0 });
  const problems = found.filter(({ verdict }) => verdict === 'bad');
  if (problems.length === 0) return found.map(({ says }) => says).join('; ');
  throw new AggregateError(problems.map(({ says, hint = '' }) => new Failure('config', says, { hint })));
}

async function tryCa(master: Master, asSpare: boolean): Promise<string> {
  const { ready, why } = await caState(master);
  if (ready) return why;
  return fail(why, asSpare ? 'Type: pe-failover adopt FINGERPRINT' : 'Set paths.cadir in the configuration');
}

async function privateKeys({ paths }: Host): Promise<string> {
  for (const path of [paths.keys.transfer, paths.keys.signing]) {
    const { mode } = await lstat(path);
    if ((mode & 0o077) !== 0) fail(`${path} is readable by others`, `Type: chmod 600 ${path}`);
  }
  return 'private';
}

function fail(what: string, hint: string): never {
  throw new Failure('config', what, { hint });
}
