import { existsSync, readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { Change } from './agent/change.ts';
import { puppetProgram, type Host, type Master } from './app.ts';
import { resolveCaDirectory } from './puppet/ca.ts';
import { createClassifier, consoleDenied, type Classifier } from './puppet/classifier.ts';
import { dataDirectory } from './puppet/database-facts.ts';
import { dropOwnDatabase, dropOwnRole, findForUpgrade, findOwn, type MetByUpgrade } from './puppet/database-removal.ts';
import { createStatusHealth, type Health } from './puppet/health.ts';
import { statusUrls } from './puppet/services.ts';
import { printSetting, printSettings, type PuppetPlace } from './puppet/settings.ts';
import { unmatchedPatterns } from './puppet/volatile-patterns.ts';
import { toFailure } from './errors.ts';
import { whyCaIsForeign } from './rules/receipt.ts';
import { readCertificates } from './system/certificates.ts';
import { readRole } from './system/fact.ts';
import { listDirectory } from './system/files.ts';
import { createHttpClient, type HttpClient } from './system/http-client.ts';
import { createPostgres, type Postgres } from './system/postgres.ts';
import { createState } from './system/state.ts';
import { createServiceCommands, createSystemd, type ServiceManager } from './system/service-manager.ts';

// What stands around us on this machine: the CA, the classifier, PostgreSQL, services.

/** The unprivileged role that loads dumps. */
export const restorerRole = 'pe_failover_restore';

/** Where the CA is, or, on a spare that has none yet, where it will be. */
export async function findCadir(master: Master): Promise<string> {
  const { cadir: override } = master.config.paths;
  const asked = { ...placeOf(master), ...(override === undefined ? {} : { override }) };
  return await resolveCaDirectory(master.exec, asked, AbortSignal.timeout(60_000));
}

/** Where puppet looks for environments. Below a root of its own nothing is asked of the machine's puppet. */
export async function environmentDirectories(master: Master): Promise<readonly string[]> {
  const { environments } = master.config.paths;
  if (environments !== undefined) return [environments];
  if (master.paths.root !== '/') return [];
  const path = await printSetting(master.exec, placeOf(master), 'environmentpath', { section: 'server' });
  return path.split(':').filter((one) => one.startsWith('/'));
}

export const puppetOf = ({ config }: Master): string => config.paths.puppet ?? puppetProgram();
const placeOf = (master: Master): PuppetPlace => ({
  puppet: puppetOf(master),
  memory: createState(master.paths.state),
});

export const stateDirectory = (master: Master): Promise<string> =>
  printSetting(master.exec, placeOf(master), 'statedir');

/** Puppet's own directory of certificates and keys. */
const sslDirectory = ({ config, below }: Pick<Host, 'config' | 'below'>): string =>
  config.paths.ssldir ?? below(config.platform === 'debian' ? '/var/lib/puppet/ssl' : '/etc/puppetlabs/puppet/ssl');

/** The authority that agents of Puppet believe, on this machine too. */
export const caOfAgents = (host: Pick<Host, 'config' | 'below'>): string => join(sslDirectory(host), 'certs/ca.pem');

/** Where the certificate of this master lies. */
export const ownCertificate = (master: Master): string => join(sslDirectory(master), 'certs', `${master.certname}.pem`);

/** Several settings of Puppet, as one section has them. */
export const settingsOfPuppet = (
  master: Master,
  names: readonly string[],
  section: string,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> => printSettings(master.exec, placeOf(master), names, { section, signal });

function httpOf(master: Master): HttpClient {
  const { config, certname } = master;
  const ssl = sslDirectory(master);
  const token = config.classifier.auth === 'token' ? config.classifier.token_file : undefined;
  const identity =
    token === undefined
      ? { certificate: join(ssl, 'certs', `${certname}.pem`), key: join(ssl, 'private_keys', `${certname}.pem`) }
      : { tokenFile: token };
  return createHttpClient({
    ...identity,
    ca: caOfAgents(master),
    servername: certname,
    whenDenied: consoleDenied(certname, token),
  });
}

const classifierUrl = ({ config, certname }: Master): string =>
  config.classifier.url ?? `https://${certname}:4433/classifier-api`;

export const classifierOf = (master: Master): Classifier =>
  createClassifier({
    http: httpOf(master),
    url: `${classifierUrl(master).replace(/\/+$/, '')}/v1`,
    clock: master.clock,
  });

/** Asks what tells of these keys of the status API. */
export function healthOf(master: Master, keys: readonly string[]): Health {
  const http = httpOf(master);
  const get = async (url: string): Promise<{ status: number; body: string }> => {
    const { status, text } = await http({
      method: 'GET',
      url,
      signal: AbortSignal.timeout(10_000),
      accept: [200, 503],
    });
    return { status, body: text };
  };
  return createStatusHealth(get, statusUrls(master.certname, new URL(classifierUrl(master)).origin, keys));
}

/** What puppetserver says of itself, under this one name. */
export function puppetserverHealth(master: Master): Health {
  const url = `https://${master.certname}:8140/status/v1/simple`;
  const http = httpOf(master);
  return {
    unhealthy: async (names) => {
      const asked = { method: 'GET', url, signal: AbortSignal.timeout(10_000), accept: [200, 503] } as const;
      const says = await http(asked).then(
        ({ text }) => (text.trim() === 'running' ? undefined : `is ${text.trim().slice(0, 40)}`),
        (error: unknown) => toFailure(error).message,
      );
      return new Map(says === undefined ? [] : names.map((name) => [name, says]));
    },
  };
}

export function serviceManager({ config, exec }: Master): ServiceManager {
  return config.services.manager === 'systemd'
    ? createSystemd(exec)
    : createServiceCommands(exec, config.services.commands);
}

export function postgresAs(
  { config, exec, system }: Pick<Master, 'config' | 'exec' | 'system'>,
  role: string,
): Postgres {
  const { host, port, bin, run_as: runAs } = config.postgres;
  const mayChange = system || userInfo().uid === 0;
  return createPostgres({ host, port, bin, role, ...(runAs === undefined || !mayChange ? {} : { runAs }) }, exec);
}

/** As its superuser. */
export const postgresOf = (master: Pick<Master, 'config' | 'exec' | 'system'>): Postgres =>
  postgresAs(master, master.config.postgres.run_as ?? userInfo().username);

/** Where PostgreSQL's databases lie, if that is on this machine, and it tells. */
export async function databasesDirectory(master: Master): Promise<string | undefined> {
  const { config } = master;
  if (config.databases.length === 0) return undefined;
  const admin = postgresOf(master);
  if (!admin.socketIsLocal) return undefined;
  const directory = await dataDirectory(admin, AbortSignal.timeout(10_000)).catch(() => undefined);
  return directory === undefined ? undefined : join(directory, 'base');
}

export interface CaState {
  readonly ready: boolean;
  readonly why: string;
  /** sha256 of the CA certificate, hexadecimal. */
  readonly fingerprint?: string;
}

const caFiles = ['ca_crt.pem', 'ca_crl.pem', 'ca_key.pem', 'inventory.txt', 'serial'];

/** Whether a puppetserver that starts here would find its whole CA; on a spare, the active's. */
export async function caState(master: Master): Promise<CaState> {
  const cadir = await findCadir(master);
  const missing = caFiles.filter((name) => !existsSync(join(cadir, name)));
  const pem = missing.includes('ca_crt.pem') ? undefined : readFileSync(join(cadir, 'ca_crt.pem'));
  const fingerprint = pem === undefined ? undefined : readCertificates(pem, cadir)[0]?.fingerprint;
  const told = fingerprint === undefined ? {} : { fingerprint };
  if (missing.length > 0) return { ready: false, why: `${missing.join(', ')} missing in ${cadir}`, ...told };
  const asked = await master.spare.adoption.wanted();
  if (asked !== undefined)
    return { ready: false, why: `the CA ${asked} was asked for and did not arrive yet`, ...told };
  const waits = await waitsForCa(master);
  if (waits !== undefined) return { ready: false, why: waits, ...told };
  return { ready: true, why: `complete in ${cadir}`, ...told };
}

/** A CA may lie on a spare, such as the installer's, that is not the active's: the job that takes it says so. */
async function waitsForCa({ config, paths, spare }: Master): Promise<string | undefined> {
  const { role } = await readRole(paths.fact);
  if (role.role !== 'passive' || !config.jobs.update_passive_ca.enabled) return undefined;
  return whyCaIsForeign(await spare.book.all('sync-certs'));
}

/** Logs in as each role that this master needs. Throws what keeps it out, with the line for pg_hba.conf. */
export async function tryDatabase(
  master: Master,
  { name, volatile }: { readonly name: string; readonly volatile: readonly string[] },
  asSpare: boolean,
  signal: AbortSignal,
): Promise<string> {
  const { config } = master;
  const roles = [config.postgres.run_as ?? userInfo().username, ...(asSpare ? [restorerRole] : [])];
  const absent = new Set<string>();
  for (const role of roles) {
    await using session = await postgresAs(master, role).connect(name, { signal });
    for (const pattern of await unmatchedPatterns(session, volatile)) absent.add(pattern);
  }
  const reachable = `reachable as ${roles.join(' and ')}`;
  return absent.size === 0 ? reachable : `${reachable}; not there, and ignored as volatile: ${[...absent].join(', ')}`;
}

/** Databases beside which ours may lie. */
async function namesInPostgres({ paths, config }: Host): Promise<string[]> {
  const restored = (await listDirectory(paths.state)).flatMap((file) => /^restore-(.+)\.json$/.exec(file)?.[1] ?? []);
  return [...new Set([...config.databases.map(({ name }) => name), ...restored])];
}

/** What an upgrade of PostgreSQL refuses, or takes along in vain. */
export async function metByUpgrade(host: Host): Promise<MetByUpgrade & { drop(name: string): Promise<void> }> {
  const names = await namesInPostgres(host);
  const admin = postgresAs(host, host.config.postgres.run_as ?? userInfo().username);
  const met = names.length === 0 ? { ours: [], others: [] } : await findForUpgrade(admin, names);
  return { ...met, drop: (name) => dropOwnDatabase(admin, name) };
}

/** What an uninstallation drops in PostgreSQL. */
export interface OwnInPostgres {
  readonly changes: readonly Change[];
  /** What could not be dropped, and why. */
  left(): string[];
}

/** Of the databases that the configuration lists, and of those that were restored here. Throws where PostgreSQL is not there. */
export async function ownInPostgres(host: Host): Promise<OwnInPostgres> {
  const names = await namesInPostgres(host);
  const left: string[] = [];
  if (names.length === 0) return { changes: [], left: () => left };
  const admin = postgresOf(host);
  const { databases, role } = await findOwn(admin, names, restorerRole);
  const changes = databases.map((name) => ({
    what: `drop the database ${name}, which was loaded or replaced here`,
    isNeeded: () => Promise.resolve(true),
    make: () => dropOwnDatabase(admin, name),
  }));
  const dropRole: Change = {
    what: `drop the role ${restorerRole}`,
    isNeeded: () => Promise.resolve(role),
    make: async () => {
      const why = await dropOwnRole(admin, restorerRole);
      if (why !== undefined) left.push(`the role ${restorerRole}: ${why}`);
    },
  };
  return { changes: [...changes, dropRole], left: () => left };
}
