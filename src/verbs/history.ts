import { procedureExits, procedureOptions, procedureOptionsIn } from './procedure-options.ts';
import { flag, root, text, value, type Verb } from './verb.ts';

const component = value('nc, certs, db or files');

/** What was, and what changed. */
export const history: readonly Verb[] = [
  {
    command: 'history',
    describe: 'Tell what came, went and was replaced on this master, newest first',
    options: {
      component,
      since: value('Not what is older: 2h, 7d, or a time such as 2026-11-26T08:00:00Z'),
      limit: { type: 'number', default: 40, describe: 'How many lines' },
      json: flag('For programs'),
    },
    epilogue: 'Exit codes: 0, also when nothing is known; 64 a wrong option.',
    run: async (given) =>
      (await import('../commands/history.ts')).history(root(given), {
        component: text(given['component']),
        since: text(given['since']),
        limit: Number(given['limit']),
        json: given['json'] === true,
      }),
  },
  {
    command: 'diff [from] [to]',
    describe: 'Tell in words how one generation became another, or what is live now',
    options: { component, db: value('One database (db)'), json: flag('For programs') },
    epilogue: `A generation is what history calls it: 3-17, 17, or the beginning of a time. Without TO: what is live now;
without FROM: the newest that differs from it.
Exit codes: 0 no difference; 1 they differ; 64 there is no such generation.`,
    run: async (given, signal) =>
      (await import('../commands/history.ts')).diff(
        root(given),
        {
          from: generation(given['from']),
          to: generation(given['to']),
          component: text(given['component']),
          database: text(given['db']),
          json: given['json'] === true,
        },
        signal,
      ),
  },
  {
    command: 'restore',
    describe: 'Put an archived generation of the classifier or of files back on this master',
    options: {
      at: { ...value('The generation, as history calls it'), demandOption: true },
      component: { ...value('nc or files'), default: 'nc' },
      'stock-groups': flag("Puppet's own groups too, as they were (nc)"),
      ...procedureOptions,
    },
    epilogue: `${procedureExits}\n64 there is no such generation.`,
    run: async (given, signal) =>
      (await import('../commands/restore.ts')).restore(
        root(given),
        {
          at: generation(given['at']) ?? '',
          component: text(given['component']) ?? 'nc',
          stockGroups: given['stock-groups'] === true,
        },
        procedureOptionsIn(given),
        signal,
      ),
  },
];

/** A number alone is a number for the parser. */
const generation = (typed: unknown): string | undefined => (typeof typed === 'number' ? `${typed}` : text(typed));
