import { comparing } from './comparing.ts';
import { deciding } from './deciding.ts';
import { installing } from './installing.ts';
import { looking } from './looking.ts';
import { running } from './running.ts';
import type { Verb } from './verb.ts';

/** In the order of --help. */
export const verbs: readonly Verb[] = [...installing, ...running, ...looking, ...comparing, ...deciding];
