import { changingRoles } from './changing-roles.ts';
import { comparing } from './comparing.ts';
import { deciding } from './deciding.ts';
import { history } from './history.ts';
import { installing } from './installing.ts';
import { looking } from './looking.ts';
import { running } from './running.ts';
import { sparing } from './sparing.ts';
import { upkeep } from './upkeep.ts';
import type { Verb } from './verb.ts';

/** In the order of --help. */
export const verbs: readonly Verb[] = [
  ...installing,
  ...sparing,
  ...changingRoles,
  ...running,
  ...looking,
  ...comparing,
  ...history,
  ...deciding,
  ...upkeep,
];
