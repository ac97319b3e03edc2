import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseDocument } from 'yaml';
import { verbs } from '../../src/verbs/all.ts';

const root = join(import.meta.dirname, '../..');
const documents = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];
const textOf = (path: string): string => readFileSync(join(root, path), 'utf8');

describe.each(documents)('%s', (document) => {
  const text = textOf(document);

  it('links only to what exists, down to the heading', () => {
    expect(links(text).filter((link) => !isThere(document, link))).toEqual([]);
  });

  it('names only paths that exist', () => {
    expect(namedPaths(text).filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  it('shows only commands that exist', () => {
    const missing = commands(text).filter(({ program, verb, options }) => {
      if (program !== 'pe-failover') return !existsSync(join(root, program));
      return !(verb === 'receive' || optionsOf.has(verb)) || options.some((option) => !hasOption(verb, option));
    });
    expect(missing).toEqual([]);
  });

  it('names no line, and nothing outside the project', () => {
    expect(text.match(/\.(ts|js|md):\d+/g) ?? []).toEqual([]);
    expect(text.match(/\/(work|tmp\/wt)\//g) ?? []).toEqual([]);
  });
});

describe('README.md', () => {
  it('names only configuration keys that the sample has', () => {
    expect(configurationKeys(textOf('README.md')).filter((key) => !sampleKeys().has(key))).toEqual([]);
  });
});

describe('docs/failures.md', () => {
  const points = textOf('docs/failures.md')
    .split(/^(?=\d+\. )/m)
    .slice(1);
  const tests = points.flatMap((point) =>
    [...point.matchAll(/^ +- `(test\/[^`]+)`: (.+)$/gm)].map(([, ...named]) => named),
  );

  it('has a test for each failure', () => {
    expect(points.map((point) => parseInt(point))).toEqual(Array.from({ length: 15 }, (_, n) => n + 1));
    expect(points.filter((point) => !/^ +- `test\//m.test(point))).toEqual([]);
  });

  it.each(tests)('names a test of %s that exists: %s', (path = '', title = '') => {
    const titles = [...textOf(path).matchAll(/(?:it|test|describe)\b[^\n'"`]*(?:\n\s*)?(['"`])(.+?)\1,/g)].map(
      ([, , found]) => found,
    );
    expect(titles).toContain(title);
  });
});

describe('docs/security.md', () => {
  const tried = textOf('docs/security.md')
    .split('## What was tried')[1]
    ?.split('\n')
    .filter((line) => /^\| (?!Attack|---)/.test(line));

  it('names a test that exists for each attack, and what happened', () => {
    expect(tried?.length).toBeGreaterThan(10);
    const wrong = tried?.filter((row) => {
      const [, attack = '', tests = '', happened = ''] = row.split('|').map((cell) => cell.trim());
      const named = [...tests.matchAll(/`(test\/[\w/-]+\.test\.ts)`/g)].map(([, path = '']) => path);
      return (
        attack === '' || happened === '' || named.length === 0 || named.some((path) => !existsSync(join(root, path)))
      );
    });
    expect(wrong).toEqual([]);
  });
});

/** Every verb with its options; `receive` is the gate's own. */
const optionsOf = new Map(verbs.map(({ command, options = {} }) => [command.split(' ')[0], Object.keys(options)]));
const common = new Set(['root', 'help', 'version']);
const hasOption = (verb: string, option: string): boolean =>
  common.has(option) || (optionsOf.get(verb) ?? []).includes(option);

const withoutCode = (text: string): string => text.replace(/```[\s\S]*?```/g, '').replace(/`[^`]*`/g, '');

const links = (text: string): string[] =>
  [...withoutCode(text.replace(/\[`/g, '[').replace(/`\]/g, ']')).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target));

function isThere(document: string, link: string): boolean {
  const [path = '', heading] = link.split('#');
  const target = path === '' ? document : normalize(join(dirname(document), path));
  if (!existsSync(join(root, target))) return false;
  return heading === undefined || headings(textOf(target)).has(heading);
}

/** As the usual renderers make them. */
const headings = (text: string): Set<string> =>
  new Set(
    [...text.replace(/```[\s\S]*?```/g, '').matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );

const namedPaths = (text: string): string[] => [
  ...new Set(
    [...text.matchAll(/(?<![\w./-])(?:src|test|scripts|templates|bin|docs)\/[\w./-]*[\w/]/g)].map(([path]) => path),
  ),
];

interface Command {
  readonly program: string;
  readonly verb: string;
  readonly options: readonly string[];
}

/** Lines of fenced blocks that begin with one of our programs, with or without a prompt; and inline `pe-failover VERB`. */
function commands(text: string): Command[] {
  const blocks = [...text.matchAll(/```[a-z]*\n([\s\S]*?)```/g)].map(([, block = '']) => block);
  const inline = [...text.matchAll(/`(pe-failover [a-z][^`]*)`/g)].map(([, code = '']) => code);
  const lines = [...blocks.flatMap((block) => block.split('\n')), ...inline].map((line) => line.trim().split(' #')[0]);
  return lines.flatMap((line = '') => {
    const [, program, verb = ''] =
      /^(?:[\w@.-]*[#$] )?(\.\/(?:scripts|bin)\/[\w-]+|pe-failover)(?: (\S+))?/.exec(line) ?? [];
    if (program === undefined) return [];
    const options = [...line.matchAll(/ --([a-z-]+)/g)].map(([, option = '']) => option);
    return [{ program: program === './bin/pe-failover' ? 'pe-failover' : program, verb, options }];
  });
}

/** Inline code that looks like a key: `ca.exclude_certs`, or one word with a `_` that is no fact. */
const configurationKeys = (text: string): string[] => {
  const sections = new Set([...sampleKeys()].map((key) => key.split('.')[0]));
  const isMeant = (key: string): boolean =>
    key.includes('.') ? sections.has(key.split('.')[0]) : key.includes('_') && !key.startsWith('pe_failover');
  return [...text.matchAll(/`([a-z_]+(?:\.[a-z_]+)*)`/g)].map(([, key = '']) => key).filter(isMeant);
};

/** Every key of the sample, commented out as they are, and those that it gives an example of. */
function sampleKeys(): Set<string> {
  const sample = textOf('templates/pe_failover.yaml');
  const lines = sample.split('\n').filter((line) => /^# *(- )?[a-z_]+:/.test(line) && !/^# [A-Za-z]/.test(line));
  const value: unknown = parseDocument(lines.map((line) => line.slice(1)).join('\n')).toJS();
  const keys = new Set([...sample.matchAll(/^# .*Example: ([a-z_]+):/gm)].map(([, key = '']) => key));
  collect(value, '', keys);
  return keys;
}

function collect(value: unknown, path: string, keys: Set<string>): void {
  if (Array.isArray(value)) return value.forEach((entry) => collect(entry, path, keys));
  if (typeof value !== 'object' || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    const name = path === '' ? key : `${path}.${key}`;
    keys.add(name).add(key);
    collect(inner, name, keys);
  }
}
