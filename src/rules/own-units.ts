import { Failure } from '../errors.ts';
import type { Platform } from './defaults.ts';
import { isKeptReadOnly } from './sandbox.ts';

export const agentUnit = 'pe-failover.service';
export const recoverUnit = 'pe-failover-recover.service';
export const webUnit = 'pe-failover-web.service';
export const ownUnits = [recoverUnit, agentUnit, webUnit] as const;

export interface UnitWords {
  /** Directory of the program. */
  readonly program: string;
  /** Where open journals lie. */
  readonly journal: string;
  /** Units of PostgreSQL, whatever a distribution calls them: one that is not there does not count. */
  readonly postgresql: readonly string[];
  /** What a switch of a database may have stopped. */
  readonly services: readonly string[];
  /** Lines of both units: what the agent may not do. */
  readonly sandbox: string;
  /** Paths that are written to, some of which may lie where the sandbox lets nobody write. */
  readonly files: readonly string[];
  /** Arguments of the web process, which may not read the configuration, and its user. */
  readonly web: readonly string[];
  readonly webUser: string;
}

/** A unit's text, of its template. Throws `config` for a path that systemd would read otherwise. */
export function unitText(template: string, words: UnitWords): string {
  const { program, journal, postgresql, services, sandbox, files, web, webUser } = words;
  const unsafe = [program, journal].find((path) => !isSafePath(path)) ?? web.find((word) => !isSafeWord(word));
  if (unsafe !== undefined) {
    const hint = 'Use a path of letters, digits, dots and dashes';
    throw new Failure('config', 'path cannot stand in a unit of systemd', { where: unsafe, hint });
  }
  const filled = Object.entries({
    sandbox: sandbox.trim(), // first: it has words of its own
    program,
    journal,
    postgresql: postgresql.join(' '),
    services: unitsOf(services).join(' '),
    writable: writableIn(files).join(' '),
    web: web.join(' '),
    webUser,
  }).reduce((text, [name, word]) => text.replaceAll(`{${name}}`, word), template);
  return filled.replaceAll(/ +$/gm, '');
}

const isSafeWord = (word: string): boolean => /^[A-Za-z0-9._/@:[\]-]+$/.test(word);
const isSafePath = (path: string): boolean => /^[A-Za-z0-9._/@-]+$/.test(path);

/**
 * What the sandbox has to let through: the directories of those files that lie where it lets nobody write. A file is made
 * beside its old self, so its directory it is; "-": it need not be there.
 */
const writableIn = (files: readonly string[]): string[] => [
  ...new Set(files.filter((path) => isKeptReadOnly(path) && isSafePath(path)).map((path) => `-${above(path)}`)),
];

const above = (path: string): string => path.replace(/\/+$/, '').replace(/\/[^/]*$/, '');

/** Names as systemd has them. What is no such name is a service of another manager. */
const unitsOf = (services: readonly string[]): string[] =>
  [...new Set(services)]
    .filter((name) => /^[A-Za-z0-9_.@-]+$/.test(name))
    .map((name) => (/\.(service|target|socket|mount|path|timer|slice|scope)$/.test(name) ? name : `${name}.service`));

/** Of these only one is there, or none where PostgreSQL is another machine's. */
export function postgresqlUnits(platform: Platform): readonly string[] {
  if (platform === 'pe') return ['pe-postgresql.service'];
  const majors = [13, 14, 15, 16, 17, 18];
  return ['postgresql.service', ...majors.map((major) => `postgresql-${major}.service`)];
}
