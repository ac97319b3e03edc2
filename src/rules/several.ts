import { Failure } from '../errors.ts';

export interface Part {
  readonly name: string;
  readonly outcome:
    | { readonly kind: 'done' | 'unchanged' | 'waiting' | 'held'; readonly why: string }
    | { readonly kind: 'failed'; readonly failure: Failure };
}

const order = ['held', 'waiting', 'done', 'unchanged'] as const;

/** One outcome of a pass over several things: the worst decides. A failure is returned after all had their turn. */
export function outcomeOfSeveral(
  parts: readonly Part[],
): { readonly kind: (typeof order)[number]; readonly why: string } | Failure {
  const failed = parts.flatMap(({ outcome }) => (outcome.kind === 'failed' ? [outcome.failure] : []));
  const [first] = failed;
  if (first !== undefined) return failed.length === 1 ? first : together(first, parts);
  const sentence = parts
    .map(({ name, outcome }) => `${name}: ${outcome.kind === 'failed' ? '' : outcome.why}`)
    .join('; ');
  const kind = order.find((candidate) => parts.some(({ outcome }) => outcome.kind === candidate)) ?? 'unchanged';
  return { kind, why: parts.length === 0 ? 'no databases are configured' : sentence };
}

function together(first: Failure, parts: readonly Part[]): Failure {
  const why = parts.flatMap(({ name, outcome }) =>
    outcome.kind === 'failed' ? [`${name}: ${outcome.failure.message}`] : [],
  );
  const hint = first.hint === undefined ? {} : { hint: first.hint };
  return new Failure(first.class, 'several databases failed', { why: why.join('; '), cause: first, ...hint });
}
