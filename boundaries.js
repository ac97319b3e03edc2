// Who may import whom, and the one door of each dependency. docs/design.md tells why; test/unit/boundaries.test.ts
// plants violations, so that the guard is guarded. Flat config replaces a rule, it does not merge: specific files come last.
import { isBuiltin } from 'node:module';

/** A folder sees itself, the folders listed here, and src/errors.ts. */
export const mayImport = {
  rules: [],
  system: ['rules'],
  drops: ['system', 'rules'],
  puppet: ['system', 'rules'],
  jobs: ['drops', 'puppet', 'system', 'rules'],
  receiver: ['system', 'rules'],
  agent: ['jobs', 'drops', 'puppet', 'system', 'rules'],
  procedures: ['agent', 'drops', 'puppet', 'system', 'rules'],
  verbs: ['commands'],
  commands: ['procedures', 'agent', 'drops', 'puppet', 'receiver', 'system', 'rules'],
};

/** The only files that may import a dependency. One without a door fails the test. */
export const doors = {
  child_process: ['src/system/exec.ts', 'src/system/lock.ts', 'src/system/log.ts'],
  http: ['src/system/http-client.ts'],
  https: ['src/system/http-client.ts'],
  net: ['src/system/control.ts', 'src/system/postgres-relay.ts'],
  sqlite: ['src/system/accepted-set.ts'],
  http2: [],
  dgram: [],
  tls: [],
  worker_threads: [],
  cluster: [],
  vm: [],
  module: [],
  chokidar: ['src/system/watch.ts'],
  pg: ['src/system/postgres.ts'],
  rsync: ['src/system/rsync.ts'],
  ssh2: ['src/system/ssh-host-key.ts'],
  winston: ['src/system/log.ts'],
  'node-cron': ['src/system/clock.ts'],
  yaml: ['src/config.ts', 'src/system/fact.ts'],
  zod: ['src/config.ts'],
  yargs: ['src/cli.ts', 'src/verbs/verb.ts'],
  listr2: ['src/system/terminal.ts'],
};

const message = (text) => ({ message: text });
const spellings = (name) =>
  isBuiltin(`node:${name}`) ? [name, `node:${name}`, `${name}/*`, `node:${name}/*`] : [name, `${name}/*`];
const top = {
  group: [
    '**/cli.ts',
    '**/app.ts',
    '**/config.ts',
    '**/role-work.ts',
    '**/order-work.ts',
    '**/audit-work.ts',
    '**/procedure-work.ts',
    '**/surroundings.ts',
  ],
  ...message('wiring happens at the top only'),
};
const ownRules = {
  commands: [
    { group: ['./*'], ...message('a command never imports another command') },
    { group: ['**/cli.ts'], ...message('wiring happens at the top only') },
    { group: ['../jobs/**'], ...message('commands reach jobs through app.ts and agent/') },
  ],
  jobs: [{ regex: '^\\./(?!job\\.ts$)', ...message('a job never imports another job') }, top],
  agent: [
    {
      group: ['**/jobs/**', '!**/jobs/index.ts', '!**/jobs/job.ts'],
      ...message('jobs are seen through jobs/index.ts'),
    },
    top,
  ],
};
const layer = (folder) => {
  const strangers = Object.keys(mayImport).filter((o) => o !== folder && !mayImport[folder].includes(o));
  const group = strangers.flatMap((other) => [`../${other}/**`, `../../${other}/**`]);
  const allowed = [folder, ...mayImport[folder]].join(', ');
  const stay = group.length > 0 ? [{ group, ...message(`${folder}/ may import only: ${allowed}`) }] : [];
  return [...stay, ...(ownRules[folder] ?? [top])];
};
const closedDoors = (file) =>
  Object.entries(doors)
    .filter(([, files]) => !files.includes(file))
    .map(([name, files]) => ({
      group: spellings(name),
      ...message(`only ${files.join(' and ') || 'nobody'} imports ${name}`),
    }));
const restrict = (files, patterns) => ({ files, rules: { 'no-restricted-imports': ['error', { patterns }] } });
const folderOf = (file) => (file.split('/').length > 2 ? file.split('/')[1] : undefined);

const noDynamicImport = { selector: 'ImportExpression', ...message('only cli.ts and verbs/ load modules lazily') };
const noTypeImport = { selector: 'TSImportType', ...message('import the type at the top') };
const noFsWatch = {
  selector: 'ImportDeclaration[source.value=/^(node:)?fs/] ImportSpecifier[imported.name=/^watch/]',
  ...message('only src/system/watch.ts watches'),
};
const noWholeFs = {
  selector:
    'ImportDeclaration[source.value=/^(node:)?fs/] > :matches(ImportNamespaceSpecifier, ImportDefaultSpecifier)',
  ...message('name what you need of fs: only src/system/watch.ts watches'),
};
const syntax = (files, ...selectors) => ({ files, rules: { 'no-restricted-syntax': ['error', ...selectors] } });

const everywhere = {
  files: ['src/**/*.ts'],
  rules: {
    'no-restricted-globals': ['error', { name: 'fetch', ...message('use system/http-client.ts') }],
    'no-restricted-properties': ['error', { object: 'process', property: 'getBuiltinModule' }],
    'no-restricted-syntax': ['error', noTypeImport, noFsWatch, noWholeFs],
  },
};
const rulesArePure = {
  files: ['src/rules/**/*.ts'],
  rules: {
    'no-restricted-globals': [
      'error',
      ...['setTimeout', 'setInterval', 'setImmediate', 'fetch', 'process', 'performance', 'console', 'crypto'],
    ],
    'no-restricted-properties': ['error', { object: 'Date', property: 'now' }, { object: 'Math', property: 'random' }],
    'no-restricted-syntax': [
      'error',
      noDynamicImport,
      noTypeImport,
      {
        selector: 'NewExpression[callee.name="Date"][arguments.length=0], CallExpression[callee.name="Date"]',
        ...message('rules take the time as an argument'),
      },
      {
        selector:
          ':matches(ImportDeclaration, ExportAllDeclaration, ExportNamedDeclaration)[source.value=/^[^.]/]:not([source.value="node:crypto"])',
        ...message('rules do no I/O'),
      },
      {
        selector:
          'ImportDeclaration[source.value="node:crypto"] > :not(Literal, ImportSpecifier[imported.name="createHash"]), :matches(ExportAllDeclaration, ExportNamedDeclaration)[source.value="node:crypto"]',
        ...message('of node:crypto, rules use createHash only'),
      },
    ],
  },
};
const insideAJobFolder = {
  regex: '^\\.\\./(?!job\\.ts$|\\.\\./(drops|puppet|system|rules)/|\\.\\./errors\\.ts$)',
  ...message('a job never imports another job'),
};
const jobLayer = layer('jobs').filter((pattern) => !pattern.regex);

export default [
  everywhere,
  restrict(['src/*.ts'], closedDoors()),
  syntax(['src/*/**/*.ts'], noDynamicImport, noTypeImport, noFsWatch, noWholeFs),
  ...Object.keys(mayImport).map((folder) => restrict([`src/${folder}/**/*.ts`], [...layer(folder), ...closedDoors()])),
  ...[...new Set(Object.values(doors).flat())].map((file) =>
    restrict([file], [...(folderOf(file) ? layer(folderOf(file)) : []), ...closedDoors(file)]),
  ),
  restrict(
    ['src/cli.ts'],
    [
      { regex: '^\\./(?!commands/|verbs/|errors\\.ts$)', ...message('cli.ts sees commands/, verbs/ and errors.ts') },
      ...closedDoors('src/cli.ts'),
    ],
  ),
  restrict(['src/jobs/*/**/*.ts'], [...jobLayer, insideAJobFolder, ...closedDoors()]),
  restrict(['src/jobs/index.ts'], [...jobLayer, ...closedDoors()]),
  syntax(['src/system/watch.ts'], noDynamicImport, noTypeImport),
  syntax(['src/verbs/*.ts'], noTypeImport, noFsWatch, noWholeFs),
  rulesArePure,
];
