/** What `sshd -T` prints: names in lower case, each with what was said of it. */
export type SshdSettings = ReadonlyMap<string, readonly string[]>;

export interface LoginOfDrops {
  readonly user: string;
  readonly groups: readonly string[];
  readonly home: string;
  readonly authorizedKeys: string;
  /** Types of the keys that log in, such as `ssh-ed25519`. */
  readonly keyTypes: readonly string[];
}

export interface SshdProblem {
  readonly what: string;
  /** What to write behind `Match User NAME` in sshd's configuration, or to change there. */
  readonly hint: string;
}

export function parseSshdSettings(text: string): SshdSettings {
  const settings = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [, name = '', value = ''] = /^(\S+)\s*(.*)$/.exec(line) ?? [];
    if (name !== '') settings.set(name.toLowerCase(), [...(settings.get(name.toLowerCase()) ?? []), value.trim()]);
  }
  return settings;
}

/** What keeps a key with a forced command from logging in as this user, or from being of use. */
export function sshdProblems(settings: SshdSettings, login: LoginOfDrops): SshdProblem[] {
  return [...listProblems(settings, login), ...keyProblems(settings, login), ...commandProblems(settings, login)];
}

/** Without PAM a login has no session of systemd, so the limits of the transfer user do not reach it. */
export const hasSessions = (settings: SshdSettings): boolean => first(settings, 'usepam') === 'yes';

const first = (settings: SshdSettings, name: string): string | undefined => settings.get(name)?.[0];
/** Old releases print a list on one line, newer ones each entry on its own. */
const words = (settings: SshdSettings, name: string): string[] =>
  (settings.get(name) ?? []).flatMap((value) => value.split(/\s+/)).filter((word) => word !== '' && word !== 'none');

const matched = ({ user }: LoginOfDrops, line: string): string =>
  `Append to sshd_config: Match User ${user}, then ${line}`;

function listProblems(settings: SshdSettings, login: LoginOfDrops): SshdProblem[] {
  const { user, groups } = login;
  const problems: SshdProblem[] = [];
  const check = (list: string, isBad: boolean, what: string, hint: string): void => {
    if (isBad) problems.push({ what: `${list} ${what}`, hint });
  };
  const denied = words(settings, 'denyusers').filter((pattern) => !pattern.includes('@'));
  const allowed = words(settings, 'allowusers').map((pattern) => pattern.split('@')[0] ?? '');
  const allowedGroups = words(settings, 'allowgroups');
  const inGroups = (patterns: readonly string[]): boolean => groups.some((group) => isListed(patterns, group));
  check('DenyUsers', isListed(denied, user), `names ${user}`, `Take ${user} out of DenyUsers`);
  check('DenyGroups', inGroups(words(settings, 'denygroups')), `names a group of ${user}`, 'Take that group out of it');
  const addUser = `Add ${user} to AllowUsers`;
  check('AllowUsers', allowed.length > 0 && !isListed(allowed, user), `does not name ${user}`, addUser);
  const addGroup = `Add ${groups[0] ?? user} to AllowGroups`;
  check('AllowGroups', allowedGroups.length > 0 && !inGroups(allowedGroups), `names no group of ${user}`, addGroup);
  return problems;
}

/** As sshd matches: a pattern behind `!` that fits decides, whatever else does. */
function isListed(patterns: readonly string[], name: string): boolean {
  const fits = (pattern: string): boolean => patternOf(pattern).test(name);
  if (patterns.some((pattern) => pattern.startsWith('!') && fits(pattern.slice(1)))) return false;
  return patterns.some((pattern) => !pattern.startsWith('!') && fits(pattern));
}

function patternOf(pattern: string): RegExp {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`);
}

function keyProblems(settings: SshdSettings, login: LoginOfDrops): SshdProblem[] {
  const problems: SshdProblem[] = [];
  const yes = (name: string, as: string): void => {
    if (first(settings, name) === 'no') problems.push({ what: `${as} is no`, hint: matched(login, `${as} yes`) });
  };
  yes('pubkeyauthentication', 'PubkeyAuthentication');
  const files = words(settings, 'authorizedkeysfile').map((file) => fileOf(file, login));
  if (!files.includes(login.authorizedKeys)) {
    const what = `AuthorizedKeysFile is ${files.join(' ') || 'none'}, and not ${login.authorizedKeys}`;
    problems.push({ what, hint: matched(login, `AuthorizedKeysFile ${login.authorizedKeys}`) });
  }
  const methods = (first(settings, 'authenticationmethods') ?? 'any').split(/\s+/);
  if (!methods.some((method) => method === 'any' || (/^publickey(:|$)/.test(method) && !method.includes(',')))) {
    const what = `AuthenticationMethods is ${methods.join(' ')}: a key alone is not enough`;
    problems.push({ what, hint: matched(login, 'AuthenticationMethods publickey') });
  }
  const types = first(settings, 'pubkeyacceptedalgorithms') ?? first(settings, 'pubkeyacceptedkeytypes');
  for (const type of login.keyTypes) {
    if (types === undefined || isListed(types.split(','), type)) continue;
    const hint = matched(login, `PubkeyAcceptedAlgorithms +${type}`);
    problems.push({ what: `PubkeyAcceptedAlgorithms lacks ${type}`, hint });
  }
  return problems;
}

function fileOf(pattern: string, { user, home }: LoginOfDrops): string {
  const named = pattern.replace(/%([%hu])/g, (_whole, letter) => (letter === 'h' ? home : letter === 'u' ? user : '%'));
  return named.startsWith('/') ? named : `${home}/${named}`;
}

function commandProblems(settings: SshdSettings, login: LoginOfDrops): SshdProblem[] {
  const problems: SshdProblem[] = [];
  const none = (name: string, as: string, because: string): void => {
    const value = first(settings, name) ?? 'none';
    if (value !== 'none' && value !== '')
      problems.push({ what: `${as} is ${value}: ${because}`, hint: matched(login, `${as} none`) });
  };
  none('forcecommand', 'ForceCommand', 'it takes the place of ours');
  none('chrootdirectory', 'ChrootDirectory', 'the program is not found below it');
  if (first(settings, 'refuseconnection') === 'yes')
    problems.push({ what: 'RefuseConnection is yes', hint: matched(login, 'RefuseConnection no') });
  const sessions = Number(first(settings, 'maxsessions') ?? 10);
  if (sessions < leastSessions) {
    const what = `MaxSessions is ${sessions}: one connection carries several at once`;
    problems.push({ what, hint: matched(login, 'MaxSessions 10') });
  }
  return problems;
}

/** A push, a question, and one that is being ended. */
const leastSessions = 4;
