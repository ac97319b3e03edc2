import { Failure } from '../errors.ts';
import { fieldsOf, type Refuse } from './fields.ts';

/** What a look at one precondition found, in a sentence. */
export interface Finding {
  /** `bad`: it does not begin, unless `unless` was typed. `note`: to be known before saying yes. */
  readonly verdict: 'good' | 'note' | 'bad';
  readonly says: string;
  /** What to type about it. */
  readonly hint?: string;
  /** The option that goes on all the same. Missing: none does. */
  readonly unless?: string;
}

export const good = (says: string): Finding => ({ verdict: 'good', says });
export const note = (says: string, hint?: string): Finding => ({
  ...{ verdict: 'note', says },
  ...(hint === undefined ? {} : { hint }),
});
export const bad = (says: string, hint: string, unless?: string): Finding => ({
  ...{ verdict: 'bad', says, hint },
  ...(unless === undefined ? {} : { unless }),
});

/** What stands in the way: those that no typed option passes over. `options`: as they were typed, such as "--force". */
export const obstaclesOf = (findings: readonly Finding[], options: readonly string[]): Finding[] =>
  findings.filter(({ verdict, unless }) => verdict === 'bad' && (unless === undefined || !options.includes(unless)));

const marks: Readonly<Record<Finding['verdict'], string>> = { good: 'ok  ', note: 'note', bad: 'NO  ' };

/** As a person reads it: a line, and one below it with what to type. */
export function findingLines({ verdict, says, hint, unless }: Finding): string[] {
  const way = unless === undefined ? '' : `${hint === undefined ? '' : '; '}${unless} goes on all the same`;
  const second = `${hint ?? ''}${verdict === 'bad' ? way : ''}`;
  return [`  ${marks[verdict]} ${says}`, ...(second === '' ? [] : [`       ${second}`])];
}

/** What the root of another master found. Throws `bad-data`. */
export function parseFinding(value: unknown): Finding {
  const refuse: Refuse = (where, why) => new Failure('bad-data', 'finding refused', { where, why });
  const field = fieldsOf(value, 'finding', refuse);
  return {
    verdict: field.oneOf('verdict', ['good', 'note', 'bad']),
    says: field.text('says', 2000),
    ...field.optionalText('hint', 2000),
  };
}
