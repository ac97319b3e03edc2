import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { existsSync } from 'node:fs';
import { gatherAudit, type Source } from './agent/audit.ts';
import type { StatusReport } from './agent/status.ts';
import type { Master } from './app.ts';
import { Failure } from './errors.ts';
import { restoreRecordOf } from './jobs/index.ts';
import { auditGems, auditPackages } from './puppet/audit-builds.ts';
import { auditCa, describeCertificate } from './puppet/audit-ca.ts';
import { auditClassifier } from './puppet/audit-classifier.ts';
import { auditDatabase } from './puppet/audit-database.ts';
import { auditEnvironments } from './puppet/audit-environments.ts';
import { auditFiles } from './puppet/audit-files.ts';
import { settingsOf } from './role-work.ts';
import type { Audit, BetweenAudit, CaAudit, CertificateAudit, ClassifierAudit, DatabaseAudit } from './rules/audit.ts';
import { fieldsOf } from './rules/fields.ts';
import type { HostPair } from './rules/host-map.ts';
import type { KnownFile } from './rules/known-files.ts';
import { parseMadeHere } from './rules/made-here.ts';
import { programVersion } from './rules/program.ts';
import { whenLive } from './rules/waiting.ts';
import { readCertificates } from './system/certificates.ts';
import { nextMinute } from './system/clock.ts';
import { readIfThere } from './system/files.ts';
import { macOf, type Mac } from './system/keyed-digest.ts';
import { readSealed } from './system/sign.ts';
import { classifierOf, findCadir, ownCertificate, postgresAs, settingsOfPuppet } from './surroundings.ts';

export interface AuditOrder {
  /** Of this comparison: what must not be guessed is keyed by it. */
  readonly nonce: string;
  /** Whose names are exchanged in the tree of node groups of this master; undefined: those of the other one are. */
  readonly exchange: (() => Promise<readonly HostPair[]>) | undefined;
  /** Undefined: all. What is under way is always told. */
  readonly parts: readonly string[] | undefined;
  readonly signal: AbortSignal;
}

/** So long may each part take: both masters are asked at the same time. */
const partMs = 25_000;
const tableMs = 20_000;

/** What the root of this master sees of it. */
export async function auditHere(master: Master, report: StatusReport, order: AuditOrder): Promise<Audit> {
  const { config, certname } = master;
  const mac = macOf(order.nonce);
  const role = report.role === 'active' || report.role === 'passive' ? report.role : 'suspended';
  const epoch = report.epoch === undefined ? {} : { epoch: report.epoch };
  const { root } = master.paths;
  const settings = settingsSource(master);
  const wants = (part: keyof Audit): boolean => order.parts?.includes(part) !== false;
  const wanted = <Value>(part: keyof Audit, source: Source<Value>): Source<Value> => (wants(part) ? source : notAsked);
  return await gatherAudit({
    who: { certname, role, platform: config.platform, ...epoch },
    signal: order.signal,
    // The other one's whole audit is awaited for the names that it exchanges.
    limitFor: (part) => (part === 'classifier' && order.exchange !== undefined ? 2 * partMs : partMs),
    sources: {
      ca: wanted('ca', caSource(master, role)),
      certificate: wanted('certificate', () => certificateOf(master)),
      classifier: wanted('classifier', classifierSource(master, order, role, mac)),
      databases: new Map(wants('databases') ? databaseSources(master, role, mac) : []),
      files: wanted('files', async (signal) => {
        const [environments, named] = await placesOf(master, settings, signal);
        return await auditFiles({ root, listed: settingsOf(master).sentFiles, named, environments, mac, signal });
      }),
      environments: wanted('environments', async (signal) => {
        const [directories] = await placesOf(master, settings, signal);
        return await auditEnvironments({ directories, mac, signal });
      }),
      gems: wanted('gems', () => auditGems(root)),
      builds: wanted('builds', (signal) => buildsOf(master, signal)),
      settings: wanted('settings', settings),
      between: () => betweenOf(master, report),
    },
  });
}

const notAsked = { off: 'it was not asked for' };

function caSource(master: Master, role: Audit['role']): Source<CaAudit> {
  const { enabled, excludeCerts } = settingsOf(master);
  if (!enabled(role === 'passive' ? 'update-passive-ca' : 'sync-certs'))
    return { off: 'certificates are not kept in sync' };
  return async (signal) =>
    auditCa(await findCadir(master), { excluded: excludeCerts, now: master.clock.now(), signal });
}

function classifierSource(
  master: Master,
  { exchange }: AuditOrder,
  role: Audit['role'],
  mac: Mac,
): Source<ClassifierAudit> {
  const { hostMap, furtherInfrastructure, enabled } = settingsOf(master);
  if (!enabled(role === 'passive' ? 'restore-nc' : 'nc-dump')) return { off: 'node groups are not kept in sync' };
  return (signal) =>
    auditClassifier(classifierOf(master), {
      ...{ hostMap, infrastructure: furtherInfrastructure, exchange, mac, signal },
    });
}

async function certificateOf(master: Master): Promise<CertificateAudit> {
  const path = ownCertificate(master);
  const [certificate] = readCertificates(await readFile(path).catch(asFailure(path)), path);
  if (certificate === undefined) throw new Failure('bad-data', 'it holds no certificate', { where: path });
  return describeCertificate(certificate);
}

const asFailure =
  (where: string) =>
  (cause: unknown): never => {
    throw new Failure('config', 'the certificate of this master cannot be read', {
      ...{ where, cause, why: cause instanceof Error ? cause.message : String(cause) },
      hint: 'Set paths.ssldir in the configuration',
    });
  };

function databaseSources(master: Master, role: Audit['role'], mac: Mac): [string, Source<DatabaseAudit>][] {
  const { databases, enabled, cron } = settingsOf(master);
  if (!enabled(role === 'passive' ? 'restore-dbs' : 'db-dump')) return [];
  const admin = postgresAs(master, master.config.postgres.run_as ?? userInfo().username);
  return databases.map(({ name, volatile, needs, switch: how }) => [
    name,
    async (signal) => {
      const order = { name, volatile, mac, signal, statementTimeoutMs: tableMs };
      const live = await auditDatabase(admin, order);
      const { staged, quarantined, waiting } = await restoreRecordOf(master.paths.state, name);
      const when = whenLive({
        ...{ switch: how, byUse: staged?.byUse === true, waiting },
        next: nextMinute(cron.restoreDbs),
      });
      const { digest, wholeDigest } = staged?.detail ?? {};
      const isOpen = role === 'passive' && digest !== undefined && wholeDigest !== undefined;
      return {
        ...live,
        needs,
        ...(isOpen ? { staged: { digest, whole: wholeDigest, when: when.slice(0, 2000) } } : {}),
        ...(quarantined === undefined
          ? {}
          : { quarantined: { digest: quarantined.drop.digest, why: quarantined.why.slice(0, 2000) } }),
      };
    },
  ]);
}

/** Where environments lie, and files that the settings name. A puppet that does not answer leaves the usual places. */
async function placesOf(
  { config, below }: Master,
  settings: Source<ReadonlyMap<string, string>>,
  signal: AbortSignal,
): Promise<[string[], KnownFile[]]> {
  const usual = config.platform === 'debian' ? '/etc/puppet/code/environments' : '/etc/puppetlabs/code/environments';
  const said = typeof settings === 'function' ? await settings(signal).catch(() => undefined) : undefined;
  const pathIn = (name: string): string[] => (said?.get(name) ?? '').split(':').filter((one) => one.startsWith('/'));
  const directories = pathIn('environmentpath');
  const named = [
    ...pathIn('autosign').map((path) => ({ path, kind: 'autosign' }) as const),
    ...pathIn('hiera_config').map((path) => ({ path, kind: 'code' }) as const),
  ];
  return [(directories.length > 0 ? directories : [usual]).map((one) => below(one)), named];
}

/** By section: what an agent is told, and what the server goes by. */
const agentSettings = ['server', 'ca_server', 'server_list', 'runinterval'];
const serverSettings = ['autosign', 'ca_ttl', 'environmentpath', 'hiera_config', 'environment_timeout'];

/** Below a root of its own nothing is asked of the machine's puppet. */
function settingsSource(master: Master): Source<ReadonlyMap<string, string>> {
  if (master.paths.root !== '/' && master.config.paths.puppet === undefined)
    return { off: 'below a root of its own puppet is not asked' };
  let asked: Promise<ReadonlyMap<string, string>> | undefined; // by three parts at once
  const ask = async (signal: AbortSignal): Promise<ReadonlyMap<string, string>> =>
    new Map([
      ...(await settingsOfPuppet(master, agentSettings, 'agent', signal)),
      ...(await settingsOfPuppet(master, serverSettings, 'server', signal)),
    ]);
  return (signal) => (asked ??= ask(signal));
}

async function buildsOf(master: Master, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
  const file = master.below('/opt/puppetlabs/server/pe_build');
  const build = existsSync(file) ? ((await readIfThere(file)) ?? '').trim() : undefined;
  return new Map([
    ['pe-failover', programVersion],
    ['platform', master.config.platform],
    ...(build === undefined ? [] : [['pe_build', build.slice(0, 200)] as const]),
    ...(master.paths.root === '/' ? await auditPackages(master.exec, signal) : []),
  ]);
}

/** A pass that is through sooner has only looked whether something changed. */
const lookMs = 3_000;

/** What is under way between the two masters, as this one sees it. */
async function betweenOf({ paths }: Master, { components, holds, agent }: StatusReport): Promise<BetweenAudit> {
  const line = await readIfThere(paths.madeHere);
  const made = line === undefined ? undefined : parseMadeHere(readSealed(line.trim(), 'made-here'));
  return {
    streams: components.map(({ stream, state, why }) => ({ stream, state, why: why.slice(0, 2000) })),
    holds: holds.slice(0, 1000).map(({ id, stream, sentence }) => ({ id, stream, sentence: sentence.slice(0, 2000) })),
    running: agent.jobs.filter(({ runningMs = 0 }) => runningMs > lookMs).map(({ job }) => job),
    madeHere: {
      certificates: (made?.certificates ?? []).map(({ certname }) => certname),
      revocations: (made?.revocations ?? []).map(({ serial }) => BigInt(`0x${serial}`).toString(16)),
    },
  };
}

const isText = (value: unknown): value is string => typeof value === 'string';

/** Of the `args` of an order. Throws `bad-data`. */
export function readAuditArgs(args: Readonly<Record<string, unknown>>): Omit<AuditOrder, 'signal'> {
  const refuse = (where: string, why: string): Failure => new Failure('bad-data', 'order refused', { where, why });
  const field = fieldsOf(args, 'args', refuse);
  const nonce = field.matching('nonce', (text) => /^[0-9a-f]{64}$/.test(text));
  const parts = field.raw('parts') === undefined ? undefined : field.list('parts', 100).filter(isText);
  if (field.raw('exchange') === undefined) return { nonce, parts, exchange: undefined };
  const pairs = field.list('exchange', 1000).map((one) => {
    const pair = fieldsOf(one, 'args.exchange', refuse);
    return { active: pair.text('active', 255), passive: pair.text('passive', 255) };
  });
  return { nonce, parts, exchange: () => Promise.resolve(pairs) };
}
