import { expect, it } from 'vitest';
import { Failure } from '../../src/errors.ts';
import { exitCodeOf, notApplied, type Applied } from '../../src/rules/applied.ts';

const of = (kind: Applied['kind']): Applied => ({ job: 'restore-nc', kind, why: '' });

it.each([
  [[], 0],
  [['done', 'unchanged'], 0],
  [['done', 'waiting'], 75],
  [['waiting', 'held'], 76],
  [['held', 'failed', 'waiting'], 79],
] as const)('the exit code of an apply with %j is %i', (kinds, code) => {
  expect(exitCodeOf(kinds.map(of))).toBe(code);
});

it('a job that is paused or runs already waits, any other trouble is a failure', () => {
  expect(notApplied('restore-nc', new Failure('refused', 'paused')).kind).toBe('waiting');
  expect(notApplied('restore-nc', new Failure('unreachable', 'no answer')).kind).toBe('failed');
});
