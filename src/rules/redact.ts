import { withoutValue } from './postgres-words.ts';

/** Takes what is secret out of text that leaves this machine. `known`: secrets whose text is known, however they are found. */
export function redact(text: string, known: readonly string[]): string {
  const worth = [...new Set(known)].filter((secret) => secret.length >= leastLength);
  const without = worth.sort((a, b) => b.length - a.length).reduce((so, secret) => so.replaceAll(secret, hidden), text);
  return without.replace(privateKey, hidden).split('\n').map(redactLine).join('\n');
}

export const hidden = '(not shown)';
/** A shorter one would take words out of every sentence, and says nothing by itself. */
const leastLength = 8;

const privateKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g;

const rules: readonly (readonly [RegExp, string])[] = [
  // name=value, name: value, "name": "value", also where quotes are escaped in JSON within JSON
  [
    /((?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|credentials?)(?:\\*["'])?\s*[=:]\s*)((?:\\*["'])?)(?!\/)[^\s"',;}\\]+/gi,
    `$1$2${hidden}`,
  ],
  [/((?:Authorization|X-Authentication|Cookie)["']?\s*[:=]\s*["']?)[^\r\n"']+/gi, `$1${hidden}`],
  [/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}/g, `$1 ${hidden}`],
  [/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@"']+@/gi, `$1${hidden}@`],
  // values of rows, in PostgreSQL's words
  [/(Failing row contains )\([^]*\)/g, `$1${hidden}`],
  [/(Key \([^)]*\)=)\([^]*?\)(?= (?:already|is|conflicts)|$)/g, `$1${hidden}`],
  [/(\b(?:DETAIL|CONTEXT|STATEMENT|QUERY|HINT):\s*)\S.*$/g, `$1${hidden}`],
  [/(\b(?:detail|hint|where|statement)\\*"\s*:\s*\\*")(?:[^"\\]|\\.)*/g, `$1${hidden}`],
  [/ENC\[[^\]]*\]/g, hidden],
];

/** Long and random: base64. Digests in hexadecimal and paths stay. */
const random =
  /(?<![A-Za-z0-9+/=_-])(?=[a-z0-9+/_-]*[A-Z])(?=[A-Za-z+/_-]*\d)(?=[A-Z0-9+/_-]*[a-z])[A-Za-z0-9+/_-]{60,}={0,2}/g;
const isPath = (text: string): boolean => text.length < 400 && /^(?:\/[\w+-]{1,40}){4,}\/?$/.test(text);

const isOfPostgres = /\b(?:ERROR|FATAL|PANIC|invalid input|violates|malformed|out of range)\b/;

function redactLine(line: string): string {
  const named = rules.reduce((text, [pattern, instead]) => text.replace(pattern, instead), line);
  const clean = named.replace(random, (text) => (isPath(text) ? text : hidden));
  if (!isOfPostgres.test(clean)) return clean;
  // Within JSON the quotes of the message are escaped, once for each level.
  return /^\s*[{["]/.test(clean) ? clean.replace(/: (\\+["'])[^]*?\1/g, ': (a value of a row)') : withoutValue(clean);
}

/** Keys of the configuration whose values may be, or hold, a secret: an address is shown without what is behind its host. */
const addresses: ReadonlySet<string> = new Set(['deadman.url', 'classifier.url']);
const commands = /^(?:witness\.command|services\.commands\.[^.]+\.(?:status|start|stop))$/;

/** The configuration as it may be shown: commands without their arguments, addresses without their paths. */
export function redactConfig(value: unknown, path = ''): unknown {
  if (Array.isArray(value)) {
    const texts = value.every((one) => typeof one === 'string');
    if (commands.test(path) && texts) return value.map((word, n) => (n === 0 ? word : hidden));
    return value.map((one, n) => redactConfig(one, `${path}.${n}`));
  }
  if (typeof value === 'string' && addresses.has(path)) return hostOf(value);
  if (typeof value !== 'object' || value === null) return value;
  const inner = (key: string): string => (path === '' ? key : `${path}.${key}`);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, redactConfig(one, inner(key))]));
}

/** What of it is taken out of every other text, too. */
export function secretsIn(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) {
    const words = value.filter((word) => typeof word === 'string');
    if (words.length < value.length) return value.flatMap((one, n) => secretsIn(one, `${path}.${n}`));
    return commands.test(path) && !path.startsWith('services.') ? words.slice(1).flatMap(partsOf) : [];
  }
  if (typeof value === 'string' && addresses.has(path)) return addressSecrets(value, path);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, one]) => secretsIn(one, path === '' ? key : `${path}.${key}`));
}

const hostOf = (url: string): string =>
  /^[a-z]+:\/\/(?:[^/@]*@)?[^/?#]+/i.exec(url)?.[0].replace(/\/\/.*@/, '//') ?? hidden;

/** A secret that is part of an address is met without it, too. */
const partsOf = (word: string): string[] => [word, ...(word.includes('://') ? behindHost(word) : [])];
const behindHost = (url: string): string[] => url.replace(/^[a-z]+:\/\/[^/?#]*/i, '').split(/[/?#&=]/);

const addressSecrets = (url: string, path: string): string[] => [
  ...(/\/\/([^/@]*)@/.exec(url)?.[1]?.split(':') ?? []),
  ...(path === 'deadman.url' ? behindHost(url) : []),
];

/** Of a file that is a secret, what would tell it: its lines. */
export const secretLines = (text: string): string[] =>
  text
    .split(/[\n\r\0]/)
    .flatMap((line) => [line.trim(), ...[...line.matchAll(/["']([^"']{12,})["']/g)].map(([, inner = '']) => inner)])
    .filter((line) => line.length >= 12)
    .slice(0, 5000);
