import { readFile } from 'node:fs/promises';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { Failure, isErrno, toFailure } from './errors.ts';
import { defaultsFor, type Platform } from './rules/defaults.ts';
import { parseListen } from './rules/listen.ts';
import { isCronExpression } from './system/clock.ts';

/** What the file says and the platform's defaults, frozen. Keys as in the file; times in milliseconds, sizes in bytes. */
export type Config = Frozen<z.infer<typeof schema>>;

type Frozen<T> = T extends (infer E)[]
  ? readonly Frozen<E>[]
  : T extends object
    ? { readonly [K in keyof T]: Frozen<T[K]> }
    : T;

/** Reads the configuration; no file means defaults. Throws ONE Failure of class config that names every problem. */
export async function loadConfig(file: string, detected: Platform | undefined): Promise<Config> {
  return parseConfig(await readOrNothing(file), file, detected);
}

/** The same of a text; `file` is for messages. The platform is the file's own word, else the detected one. */
export function parseConfig(text: string, file: string, detected: Platform | undefined): Config {
  const given = readYaml(text, file);
  const named = platformName.optional().safeParse(given['platform'] ?? undefined);
  const platform = named.success ? (named.data ?? detected) : detected;
  if (platform === undefined && named.success) {
    throw refuse(file, ['platform: is not set, and neither /etc/puppetlabs nor /etc/puppet was found']);
  }
  const merged = merge(defaultsFor(platform ?? 'puppet'), given);
  const parsed = schema.safeParse(merged);
  if (!parsed.success)
    throw refuse(
      file,
      parsed.error.issues.flatMap((issue) => explain(issue, merged)),
    );
  return freeze(parsed.data);
}

/** `{error}` is the expectation, as it stands in the message behind "expected". */
const expected = (error: string) => ({ error });
const text = (expectation: string, matches: (value: string) => boolean) =>
  z.string(expected(expectation)).refine(matches, expected(expectation));
const map = <T extends z.ZodRawShape>(shape: T) =>
  z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? Object.keys(shape).sort().join(', ') : 'a map'),
  });
const listOf = <T extends z.ZodType>(entry: T) => z.array(entry, expected('a list'));
const oneOf = <const T extends readonly [string, ...string[]]>(...words: T) =>
  z.enum(words, expected(words.join(' or ')));
const count = (least: number, most: number) => {
  const expectation = expected(`a whole number from ${least} to ${most}`);
  return z.int(expectation).min(least, expectation).max(most, expectation);
};

const timeUnits: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const sizeUnits: Readonly<Record<string, number>> = { kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 };
const quantity = (pattern: RegExp, units: Readonly<Record<string, number>>, expectation: string) =>
  text(expectation, (value) => pattern.test(value)).transform((value) => {
    const [, number, unit = ''] = pattern.exec(value) ?? [];
    return Number(number) * (units[unit] ?? NaN);
  });
const time = quantity(/^(\d{1,6})(ms|s|m|h|d)$/, timeUnits, 'a time such as "15s", "5m" or "1h"');
const size = quantity(/^(\d{1,6})(kB|MB|GB|TB)$/, sizeUnits, 'a size such as "10MB"');
const cron = text('a cron expression such as "10 * * * *"', isCronExpression);
const yesNo = z.boolean(expected('true or false'));
const absolute = text('an absolute path', (value) => /^\/[^\0\n]*$/.test(value) && !/(^|\/)\.\.(\/|$)/.test(value));
const host = text('a host name or an address', (value) => /^[A-Za-z0-9_:][A-Za-z0-9_.:-]{0,252}$/.test(value));
const account = text('the name of a user', (value) => /^[a-z_][a-z0-9_-]{0,30}\$?$/.test(value));
const name = text('a name', (value) => /^[A-Za-z0-9_][A-Za-z0-9_. @-]{0,99}$/.test(value));
const argument = text('text on one line', (value) => !/[\0\n]/.test(value));
const command = listOf(argument).min(1, expected('a command as a list: ["program", "argument"]'));
const isListen = (value: string): boolean => parseListen(value) !== undefined;
const listen = text('"off" or address:port, such as 127.0.0.1:8186', (value) => value === 'off' || isListen(value));
const url = text('a URL that begins with https://', (value) => URL.canParse(value) && value.startsWith('https://'));
const pingUrl = text(
  'a URL that begins with https:// or http://',
  (value) => URL.canParse(value) && /^https?:\/\//.test(value),
);
const databaseName = text('a database name: a-z 0-9 _ -, at most 40', (value) => /^[a-z0-9_-]{1,40}$/.test(value));
const extension = text('the name of an extension: a-z 0-9 _ -, at most 63', (value) =>
  /^[a-z0-9_][a-z0-9_-]{0,62}$/.test(value),
);
const platformName = oneOf('pe', 'puppet', 'debian');

const job = <T extends z.ZodRawShape>(own: T) => map({ enabled: yesNo, timeout: time, ...own });
const brake = map({ percent: count(1, 100), least: count(1, 1_000_000) });

const database = map({
  name: databaseName,
  switch: oneOf('schedule', 'promotion').optional(),
  services: listOf(name).default([]),
  health: listOf(name).default([]),
  needs: listOf(absolute).default([]),
  volatile: listOf(name).default([]),
  extensions: listOf(extension).default([]),
});

const schema = map({
  platform: platformName,
  certname: host.optional(),
  peer_address: host.optional(),
  paths: map({
    cadir: absolute.optional(),
    ssldir: absolute.optional(),
    puppet: absolute.optional(),
    environments: absolute.optional(),
  }),
  transfer: map({ user: account, connect_timeout: time, bandwidth_limit: size }),
  inbox: map({ size, files: count(1000, 100_000_000) }),
  ssh: map({ port: count(1, 65_535), host_key_alias: host.optional() }),
  jobs: map({
    sync_certs: job({ every: time }),
    sync_files: job({ every: time }),
    nc_dump: job({ cron, poll: time, min_interval: time }),
    db_dump: job({ cron, poll: time, min_interval: time }),
    fetch_made_here: job({ every: time }),
    update_passive_ca: job({ every: time }),
    update_passive_files: job({ every: time }),
    restore_nc: job({ cron }),
    restore_dbs: job({ cron, agent_run_wait: time, health_wait: time, staged_limit: time, jobs: count(1, 64) }),
    sync_puppetdb: job({ every: time }),
  }),
  ca: map({ exclude_certs: listOf(host), serial_gap: count(1000, 10_000_000) }),
  classifier: map({
    url: url.optional(),
    auth: oneOf('certificate', 'token'),
    token_file: absolute.optional(),
    host_map: z.record(host, host, expected('a map of host names')),
    infrastructure_groups: listOf(name),
  }).refine((own) => own.auth !== 'token' || own.token_file !== undefined, {
    path: ['token_file'],
    error: 'the path of a file with the token, as auth is token',
  }),
  postgres: map({ host: argument, port: count(1, 65_535), run_as: account.optional(), bin: absolute }),
  databases: listOf(database),
  services: map({
    manager: oneOf('systemd', 'commands'),
    commands: z.record(name, map({ status: command, start: command, stop: command }), expected('a map of services')),
  }),
  files: listOf(absolute),
  brakes: map({ ca: brake, classifier: brake, databases: brake, files: brake }),
  freshness: map({ sync_certs: time, sync_files: time, nc_dump: time, db_dump: time }),
  retention: map({
    age: time,
    nc_dump: count(1, 1000),
    db_dump: count(1, 100),
    replaced: count(1, 1000),
    max_size: size,
    events: size,
    free_space: size,
  }),
  space: map({ warn_percent: count(0, 90), warn_below: size }),
  deadman: map({ url: pingUrl.optional(), every: time, timeout: time, ca: absolute.optional() }),
  web: map({
    page_listen: listen,
    health_listen: listen,
    puppetserver: text('address:port, such as 127.0.0.1:8140', isListen),
  }),
  remote_role_changes: z.boolean(),
  witness: map({ path: absolute.optional(), command: command.optional() }),
  hooks: map({ timeout: time }),
});

async function readOrNothing(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return '';
    throw new Failure('config', 'configuration cannot be read', { where: file, why: toFailure(error).why ?? '' });
  }
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function readYaml(content: string, file: string): Record<string, unknown> {
  const document = orRefuse(() => parseDocument(content, { logLevel: 'silent', stringKeys: true }), file);
  const problems = document.errors.map((error) => String(error.message.split('\n')[0]).replace(/:$/, ''));
  if (problems.length > 0) throw refuse(file, problems);
  const value = orRefuse(() => document.toJS() as unknown, file);
  if (value === null) return {};
  if (!isMap(value)) throw refuse(file, [`the file: is ${show(value)}, expected a map`]);
  return value;
}

// An alias without its anchor, or what is nested too deeply, is found here only.
function orRefuse<Value>(read: () => Value, file: string): Value {
  try {
    return read();
  } catch (error) {
    throw refuse(file, [toFailure(error).why ?? 'not YAML']);
  }
}

// A key without a value is one that somebody emptied or commented out: the default holds.
function merge(defaults: unknown, given: unknown): unknown {
  if (given === undefined || given === null) return defaults;
  if (!isMap(defaults) || !isMap(given)) return given;
  const keys = new Set([...Object.keys(defaults), ...Object.keys(given)]);
  return Object.fromEntries([...keys].map((key) => [key, merge(defaults[key], given[key])] as const).filter(isSet));
}

const isSet = ([, value]: readonly [string, unknown]): boolean => value !== undefined && value !== null;

function explain(issue: z.core.$ZodIssue, merged: unknown): string[] {
  const at = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => `${[...at, key].join('.')}: unknown key, expected one of ${issue.message}`);
  }
  const value = at.reduce<unknown>((held, key) => (held as Record<string, unknown> | undefined)?.[key], merged);
  const shown = at.some((key) => maybeSecret.has(key)) ? 'not shown' : show(value);
  const found =
    issue.code === 'invalid_key' ? 'has a malformed key' : value === undefined ? 'is missing' : `is ${shown}`;
  return [`${at.join('.')}: ${found}, expected ${issue.message}`];
}

/** A token in place of its file, a password in a URL or among arguments: what may be one is not shown. */
const maybeSecret: ReadonlySet<string> = new Set(['token_file', 'url', 'deadman', 'commands', 'command']);

const show = (value: unknown): string => {
  const written = JSON.stringify(value) ?? String(value);
  return written.length > 60 ? `${written.slice(0, 60)}...` : written;
};

const refuse = (file: string, problems: readonly string[]): Failure =>
  new Failure('config', 'configuration refused', { where: file, why: [...new Set(problems)].join('; ') });

function freeze<T>(value: T): Frozen<T> {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) freeze<unknown>(inner);
    Object.freeze(value);
  }
  return value as Frozen<T>;
}
