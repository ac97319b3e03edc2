import { flag, root, text, value, type Verb } from './verb.ts';

const exits = `Exit codes, as Nagios counts: 0 both masters are alike, or what differs is on its way; 1 warning; 2 critical;
3 the other master did not answer, and this one alone was looked at.`;

/** What both masters have, side by side. */
export const comparing: readonly Verb[] = [
  {
    command: 'compare',
    describe: 'Compare both masters: CA, node groups, databases, secrets, code, versions, settings',
    options: {
      json: flag('For programs'),
      component: value('Only this: ca, classifier, databases, secrets, files, code, certificates ...'),
      timeout: { type: 'number', default: 60, describe: 'How many seconds the other master may take' },
    },
    epilogue: exits,
    run: async (given, signal) => {
      const { compare } = await import('../commands/compare.ts');
      const options = {
        json: given['json'] === true,
        component: text(given['component']),
        timeoutMs: Number(given['timeout']) * 1000,
      };
      return compare(root(given), options, signal);
    },
  },
];
