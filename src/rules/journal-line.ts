import { Failure } from '../errors.ts';
import { fieldsOf, parseObject, type Refuse } from './fields.ts';
import { isTooDeep, tooDeepProblem } from './json.ts';

/** One step of an operation, written before it began. */
export interface JournalLine {
  readonly run: string;
  readonly job: string;
  readonly step: string;
  /** Counts from 0, below `of`. */
  readonly n: number;
  readonly of: number;
  readonly args: unknown;
  /** ISO 8601. */
  readonly at: string;
}

/**
 * The last step that began, of a journal's text; undefined: none. A torn last line was never acted upon: its step had not
 * begun. Throws `config` for a line that is none: to take it for a step that it is not would undo, or leave, the wrong things.
 */
export function readJournalLine(text: string, path: string): JournalLine | undefined {
  const whole = text.split('\n').slice(0, -1).at(-1);
  if (whole === undefined) return undefined;
  const hint = 'Look at what the last step left, then remove the file';
  const refuse: Refuse = (where, why) =>
    new Failure('config', 'journal is unreadable', { where: path, why: `${where} ${why}`, hint });
  const value = parseObject(whole, refuse);
  const field = fieldsOf(value, 'line', refuse);
  const [n, of] = [field.count('n', 0), field.count('of', 1)];
  if (n >= of) throw refuse('line.n', 'is behind the last step');
  if (isTooDeep(value['args'])) throw refuse('line.args', tooDeepProblem);
  const [run, job, step, at] = [field.text('run'), field.text('job'), field.text('step'), field.text('at', 40)];
  return { run, job, step, n, of, args: value['args'], at };
}

/** What is typed to go on with a procedure of that verb. */
export const againOf = ({ job, args }: Pick<JournalLine, 'job' | 'args'>): string => {
  const { subject } = Object(args) as { readonly subject?: unknown };
  return `pe-failover ${job}${typeof subject === 'string' ? ` ${subject}` : ''}`;
};

export const interruptedSentence = (line: JournalLine): string =>
  `${line.job} was interrupted at "${line.step}", at ${line.at}. To go on, type: ${againOf(line)}. To take it back: ${againOf(line)} --undo`;
