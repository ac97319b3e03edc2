import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules, isBuiltin } from 'node:module';
import { join } from 'node:path';
import { ESLint, type Linter } from 'eslint';
import tseslint from 'typescript-eslint';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const load = (file: string): Promise<unknown> => import(join(root, file));
const { mayImport, doors, ...guard } = (await load('boundaries.js')) as {
  mayImport: Record<string, string[]>;
  doors: Record<string, string[]>;
  default: Linter.Config[];
};

// The boundaries alone, without type information: the planted files do not exist.
const eslint = new ESLint({
  cwd: root,
  overrideConfigFile: true,
  overrideConfig: [{ files: ['**/*.ts'], languageOptions: { parser: tseslint.parser } }, ...guard.default],
});

/** What the guard says of this text in this file. */
async function judge(file: string, text: string): Promise<string> {
  const [result] = await eslint.lintText(text, { filePath: join(root, file) });
  return (result?.messages ?? []).map(({ message }) => message).join('\n');
}

const use = (what: string): string => `import { x } from '${what}';\nx();\n`;
const folders = Object.keys(mayImport);
const pairs = folders.flatMap((from) => folders.filter((to) => to !== from).map((to) => [from, to] as const));
const legal = pairs.filter(([from, to]) => mayImport[from]?.includes(to));
const illegal = pairs.filter(([from, to]) => !mayImport[from]?.includes(to));

it('is what `npm run lint` runs', async () => {
  const { default: config } = (await load('eslint.config.js')) as { default: Linter.Config[] };
  expect(config.slice(-guard.default.length)).toEqual(guard.default);
});

describe('layers', () => {
  it.each(illegal)('%s/ may not import %s/, in a file, in a folder, or by exporting it on', async (from, to) => {
    const message = `${from}/ may import only`;
    await expect(judge(`src/${from}/planted.ts`, use(`../${to}/x.ts`))).resolves.toContain(message);
    await expect(judge(`src/${from}/planted.ts`, `export * from '../${to}/x.ts';`)).resolves.toContain(message);
    await expect(judge(`src/${from}/in/planted.ts`, use(`../../${to}/x.ts`))).resolves.toContain(message);
  });

  it.each(legal)('%s/ may import %s/', async (from, to) => {
    const file = from === 'agent' && to === 'jobs' ? 'index.ts' : 'x.ts';
    await expect(judge(`src/${from}/planted.ts`, use(`../${to}/${file}`))).resolves.toBe('');
  });

  it.each([...new Set(Object.values(doors).flat())].filter((file) => file.split('/').length > 2))(
    'the door %s stays in its layer',
    async (file) => {
      const folder = file.split('/')[1] ?? '';
      const stranger = folders.find((to) => to !== folder && !mayImport[folder]?.includes(to)) ?? '';
      await expect(judge(file, use(`../${stranger}/x.ts`))).resolves.toContain(`${folder}/ may import only`);
    },
  );

  it.each(folders)('%s/ sees errors.ts, and not the wiring', async (from) => {
    await expect(judge(`src/${from}/planted.ts`, use('../errors.ts'))).resolves.toBe('');
    const tops = from === 'commands' ? ['cli.ts'] : ['cli.ts', 'app.ts', 'config.ts'];
    for (const top of tops)
      await expect(judge(`src/${from}/planted.ts`, use(`../${top}`))).resolves.toContain('wiring happens at the top');
  });

  it('cli.ts sees commands/, verbs/ and errors.ts alone; commands see app.ts and config.ts', async () => {
    const message = 'cli.ts sees commands/, verbs/ and errors.ts';
    await expect(judge('src/cli.ts', use('./app.ts'))).resolves.toContain(message);
    await expect(judge('src/cli.ts', use('./agent/agent.ts'))).resolves.toContain(message);
    await expect(judge('src/cli.ts', use('./commands/run.ts'))).resolves.toBe('');
    await expect(judge('src/cli.ts', use('./errors.ts'))).resolves.toBe('');
    await expect(judge('src/commands/planted.ts', use('../app.ts') + use('../config.ts'))).resolves.toBe('');
  });
});

describe('siblings', () => {
  const other = 'a job never imports another job';
  it.each([
    ['a job imports a job', 'src/jobs/planted.ts', './nc-dump.ts', other],
    ['a job imports the list of jobs', 'src/jobs/planted.ts', './index.ts', other],
    ['a job in a folder imports a job', 'src/jobs/planted/index.ts', '../nc-dump.ts', other],
    ["a job in a folder imports another's folder", 'src/jobs/planted/index.ts', '../restore-nc/steps.ts', other],
    ['a job in a folder imports the wiring', 'src/jobs/planted/index.ts', '../../app.ts', other],
    ['the agent imports a job itself', 'src/agent/planted.ts', '../jobs/nc-dump.ts', 'jobs are seen through'],
    ['a command imports a command', 'src/commands/planted.ts', './run.ts', 'a command never imports another command'],
    ['a command imports a job', 'src/commands/planted.ts', '../jobs/job.ts', 'commands reach jobs through'],
  ])('refuses that %s', async (_, file, what, message) => {
    await expect(judge(file, use(what))).resolves.toContain(message);
  });

  it.each([
    ['src/jobs/planted.ts', './job.ts'],
    ['src/jobs/planted/index.ts', '../job.ts'],
    ['src/jobs/planted/index.ts', './steps.ts'],
    ['src/jobs/planted/index.ts', '../../drops/intake.ts'],
    ['src/jobs/planted/index.ts', '../../errors.ts'],
    ['src/jobs/index.ts', './nc-dump.ts'],
    ['src/agent/planted.ts', '../jobs/job.ts'],
    ['src/agent/planted.ts', './scheduler.ts'],
  ])('%s may import %s', async (file, what) => {
    await expect(judge(file, use(what))).resolves.toBe('');
  });
});

describe('doors', () => {
  const spellings = (name: string): string[] => {
    const builtin = isBuiltin(`node:${name}`);
    const bare = builtin && !builtinModules.includes(name) ? [] : [name, `${name}/inner`];
    return builtin ? [...bare, `node:${name}`, `node:${name}/inner`] : bare;
  };

  it.each(Object.entries(doors))('%s is imported by its door alone, however it is spelled', async (name, files) => {
    for (const spelling of spellings(name)) {
      for (const file of [
        'src/planted.ts',
        'src/jobs/planted.ts',
        'src/jobs/planted/index.ts',
        'src/system/planted.ts',
      ])
        await expect(judge(file, use(spelling)), `${file}: ${spelling}`).resolves.toContain(` imports ${name}`);
      for (const file of files) await expect(judge(file, use(spelling)), `${file}: ${spelling}`).resolves.toBe('');
    }
  });

  it('every dependency has one, and no door is for nothing', () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    const named = Object.keys(doors).filter((name) => !isBuiltin(`node:${name}`));
    expect(named.sort()).toEqual(Object.keys(dependencies).sort());
  });

  it('nothing is imported that package.json does not name', () => {
    const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' });
    const imported = files
      .filter((file) => file.endsWith('.ts'))
      .flatMap((file) => [
        ...readFileSync(join(root, 'src', file), 'utf8').matchAll(/^(?:import|export)\b[^;]*? from '([^'.][^']*)';/gm),
      ])
      .map(([, name = '']) => name);
    expect(imported).toContain('node:fs/promises');
    expect(imported.filter((name) => !name.startsWith('node:') && doors[name] === undefined)).toEqual([]);
  });
});

describe('habits', () => {
  const rule = 'src/rules/planted.ts';
  const job = 'src/jobs/planted.ts';
  it.each([
    ['a lazy import', job, `await import('./job.ts');`, 'only cli.ts and verbs/ load modules lazily'],
    ['a lazy import in a rule', rule, `await import('./epoch.ts');`, 'only cli.ts and verbs/ load modules lazily'],
    [
      'a lazy import in the watcher',
      'src/system/watch.ts',
      `await import('chokidar');`,
      'only cli.ts and verbs/ load modules lazily',
    ],
    ['a type behind import()', job, `export type J = import('./job.ts').Job;`, 'import the type at the top'],
    [
      'a type behind import() at the top',
      'src/app.ts',
      `export type J = import('./x.ts').J;`,
      'import the type at the top',
    ],
    ['fs.watch', job, `import { watch } from 'node:fs';\nwatch('x');`, 'only src/system/watch.ts watches'],
    [
      'fs.watchFile in the wiring',
      'src/app.ts',
      `import { watchFile as w } from 'fs';\nw('x');`,
      'only src/system/watch.ts watches',
    ],
    [
      'fs/promises watch',
      job,
      `import { watch } from 'node:fs/promises';\nwatch('x');`,
      'only src/system/watch.ts watches',
    ],
    ['all of fs', job, `import * as fs from 'node:fs';\nfs.watch('x');`, 'only src/system/watch.ts watches'],
    ['fs by its default', job, `import fs from 'node:fs';\nfs.watch('x');`, 'only src/system/watch.ts watches'],
    ['the global fetch', job, `await fetch('x');`, 'use system/http-client.ts'],
    ['a module by the back door', job, `process.getBuiltinModule('child_process');`, 'getBuiltinModule'],
    ['a rule with a timer', rule, `setTimeout(() => 1, 1);`, 'setTimeout'],
    ['a rule that reads its environment', rule, `export const x = process.env;`, 'process'],
    ['a rule with a clock', rule, `export const x = Date.now();`, 'Date.now'],
    ['a rule with a date', rule, `export const x = new Date();`, 'rules take the time as an argument'],
    ['a rule with the date as text', rule, `export const x = Date();`, 'rules take the time as an argument'],
    ['a rule with chance', rule, `export const x = Math.random();`, 'Math.random'],
    ['a rule that reads files', rule, use('node:fs'), 'rules do no I/O'],
    ['a rule that exports files on', rule, `export * from 'node:fs';`, 'rules do no I/O'],
    [
      'a rule with random bytes',
      rule,
      `import { randomBytes } from 'node:crypto';\nrandomBytes(1);`,
      'createHash only',
    ],
    ['a rule with all of crypto', rule, `import crypto from 'node:crypto';\ncrypto.sign();`, 'createHash only'],
    ['a rule with the global crypto', rule, `crypto.randomUUID();`, 'crypto'],
  ])('refuses %s', async (_, file, text, message) => {
    await expect(judge(file, text)).resolves.toContain(message);
  });

  it.each([
    ['a lazy import in cli.ts', 'src/cli.ts', `await import('./commands/run.ts');`],
    ['a lazy import of a verb', 'src/verbs/running.ts', `await import('../commands/run.ts');`],
    ['a type at the top', job, `import type { Job } from './job.ts';\nexport type J = Job;`],
    ['fs.watch in the watcher', 'src/system/watch.ts', `import { watch } from 'node:fs';\nwatch('x');`],
    ['other things of fs', job, `import { readFileSync } from 'node:fs';\nreadFileSync('x');`],
    ['a rule with a hash', rule, `import { createHash } from 'node:crypto';\ncreateHash('x');`],
    ['a rule with a given time', rule, `export const x = (at: string) => new Date(at);`],
    ['a rule that imports a rule', rule, use('./epoch.ts')],
  ])('accepts %s', async (_, file, text) => {
    await expect(judge(file, text)).resolves.toBe('');
  });
});
