import { exitCodes, Failure, type ErrorClass } from '../errors.ts';
import { fieldsOf, type Refuse } from './fields.ts';

/** What one master's root asks of the other's: a signed line, purpose `message`. */
export interface Order {
  readonly format: 1;
  readonly kind: 'order';
  /** 32 hexadecimal digits, of this order alone. */
  readonly id: string;
  /** Goes up with each order of its source: which of two was given later, whatever came first. */
  readonly n: number;
  readonly verb: string;
  readonly args: Readonly<Record<string, unknown>>;
  /** Certnames. */
  readonly source: string;
  readonly target: string;
  /** `at` of the target's greeting that was heard before: so the target alone dates it. */
  readonly greeted: string;
  /** Who typed what led to it. */
  readonly by: string;
  readonly program?: string;
}

/** What the other root answers: signed, purpose `message`, written anew while it works. */
export interface Reply {
  readonly format: 1;
  readonly kind: 'reply';
  readonly id: string;
  readonly state: 'working' | 'done' | 'failed';
  /** What it is at. */
  readonly said?: string;
  /** Another one each time that it is written: it works. */
  readonly beat?: string;
  /** Base64 of the gzip of the result's JSON. */
  readonly result?: string;
  readonly failure?: SpokenFailure;
  readonly program?: string;
}

export interface SpokenFailure {
  readonly class: ErrorClass;
  readonly what: string;
  readonly where?: string;
  readonly why?: string;
  readonly hint?: string;
}

export const isOrderId = (text: string): boolean => /^[0-9a-f]{32}$/.test(text);

/** How old the greeting may be that an order names: what was kept back, or comes again, is not done. */
export const orderAgeMs = 5 * 60_000;

/** Why an order is not carried out; undefined: it is. `seen`: ids of those that were. */
export function whyNotDone(order: Order, certname: string, now: Date, seen: readonly string[]): string | undefined {
  if (order.target !== certname) return `it is meant for ${order.target}`;
  if (seen.includes(order.id)) return 'it was heard before';
  const age = now.getTime() - Date.parse(order.greeted);
  if (age >= -orderAgeMs && age <= orderAgeMs) return undefined;
  return 'it is too old, or the clock of this master was set';
}

/** Undefined: a message of another kind. Throws `bad-data`. */
export function parseOrder(value: unknown): Order | undefined {
  const refuse: Refuse = (where, why) => new Failure('bad-data', 'order refused', { where, why });
  const field = fieldsOf(value, 'order', refuse);
  if (field.raw('kind') !== 'order') return undefined;
  if (field.number('format') !== 1) throw refuse('order.format', 'is not 1');
  return {
    ...{ format: 1, kind: 'order', id: field.matching('id', isOrderId), verb: field.text('verb', 40) },
    ...{ n: field.count('n', 1), args: field.object('args') },
    ...{ source: field.text('source', 255), target: field.text('target', 255) },
    ...{ greeted: field.text('greeted', 40), by: field.text('by', 200) },
    ...field.optionalText('program', 40),
  };
}

/** Throws `bad-data`. */
export function parseReply(value: unknown): Reply {
  const refuse: Refuse = (where, why) => new Failure('bad-data', 'reply refused', { where, why });
  const field = fieldsOf(value, 'reply', refuse);
  if (field.raw('kind') !== 'reply' || field.number('format') !== 1) throw refuse('reply', 'is of another format');
  return {
    ...{ format: 1, kind: 'reply', id: field.matching('id', isOrderId) },
    state: field.oneOf('state', ['working', 'done', 'failed']),
    ...field.optionalText('said', 1000),
    ...field.optionalText('beat', 40),
    ...field.optionalText('result', replyLimit),
    ...(field.raw('failure') === undefined ? {} : { failure: parseFailure(field.object('failure'), refuse) }),
    ...field.optionalText('program', 40),
  };
}

/** Characters of a packed result: an answer of the gate is read up to 4 MB. */
export const replyLimit = 3_500_000;

function parseFailure(value: unknown, refuse: Refuse): SpokenFailure {
  const field = fieldsOf(value, 'reply.failure', refuse);
  const named = field.text('class', 20);
  return {
    class: Object.hasOwn(exitCodes, named) ? (named as ErrorClass) : 'bug',
    what: field.text('what', 2000),
    ...field.optionalText('where', 2000),
    ...field.optionalText('why', 4000),
    ...field.optionalText('hint', 2000),
  };
}

/** The words of a failure, for the other side. */
export function spokenFailure({ class: errorClass, what, where, why, hint }: Failure): SpokenFailure {
  return {
    ...{ class: errorClass, what: what.slice(0, 2000) },
    ...(where === undefined ? {} : { where: where.slice(0, 2000) }),
    ...(why === undefined ? {} : { why: why.slice(0, 4000) }),
    ...(hint === undefined ? {} : { hint: hint.slice(0, 2000) }),
  };
}
