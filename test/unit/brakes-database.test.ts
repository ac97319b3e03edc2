import { describe, expect, test } from 'vitest';
import { databaseBrakes, rowsMadeHere, type DatabaseShape } from '../../src/rules/brakes-database.ts';

const shape = (rows: DatabaseShape['rows'], administrators?: number): DatabaseShape => ({
  rows,
  ...(administrators === undefined ? {} : { administrators }),
});
const rules = (live: DatabaseShape, staged: DatabaseShape, left?: DatabaseShape['rows']): string[] =>
  databaseBrakes('pe-rbac', { live, staged, left }).map(({ rule }) => rule);

describe('rows', () => {
  test('a table that loses all of its three rows is held, one that had two is not', () => {
    expect(rules(shape({ 'public.roles': 3 }), shape({ 'public.roles': 0 }))).toEqual(['rows-vanish']);
    expect(rules(shape({ 'public.roles': 2 }), shape({ 'public.roles': 0 }))).toEqual([]);
  });

  test('a table that is not there any more has lost its rows', () => {
    expect(rules(shape({ 'public.roles': 20 }), shape({}))).toEqual(['rows-vanish']);
  });

  test.each([
    [18, 8, ['rows-vanish']],
    [18, 9, []], // nine
    [21, 11, []], // ten, and less than half
    [20, 10, []], // half
    [1000, 499, ['rows-vanish']],
    [1000, 5000, []],
  ])('of %i rows %i are left: %j', (before, after, expected) => {
    expect(rules(shape({ 'public.roles': before }), shape({ 'public.roles': after }))).toEqual(expected);
  });

  test('the sentence has the numbers; the difference has none, so that the next dump is the same cause', () => {
    const [first] = databaseBrakes('pe-rbac', {
      live: shape({ 'public.roles': 40 }),
      staged: shape({ 'public.roles': 4 }),
    });
    const [second] = databaseBrakes('pe-rbac', {
      live: shape({ 'public.roles': 41 }),
      staged: shape({ 'public.roles': 5 }),
    });
    expect(first?.sentence).toBe('1 table of pe-rbac would lose rows: public.roles 40 -> 4');
    expect(first?.difference).toEqual(['- public.roles: too many of its rows']);
    expect(second?.difference).toEqual(first?.difference);
  });

  test('a schema that moved on may drop and rename tables, and must say so; it may not empty one that stays', () => {
    const [before, after] = [{ 'public.schema_migrations': 7 }, { 'public.schema_migrations': 9 }];
    const old = { ...before, 'public.roles': 20, 'public.users': 30 };
    expect(rules(shape(old), shape({ ...after, 'public.users': 30 }))).toEqual([]);
    expect(rules(shape(old), shape({ ...before, 'public.users': 30 }))).toEqual(['rows-vanish']);
    expect(rules(shape(old), shape({ ...after, 'public.roles': 0, 'public.users': 30 }))).toEqual(['rows-vanish']);
    expect(rules(shape({ ...old, ...after }), shape({ ...before }))).toEqual(['rows-vanish']); // the schema here is newer
  });

  test('rows that the spare made itself are not lost by the active; what it had is', () => {
    const left = { 'public.users': 20 };
    const live = shape({ 'public.users': 90, 'public.made': 40 });
    expect(rules(live, shape({ 'public.users': 21 }), left)).toEqual([]);
    expect(rules(live, shape({ 'public.users': 9 }), left)).toEqual(['rows-vanish']);
    expect(rules(shape({ 'public.users': 12 }), shape({ 'public.users': 6 }), left)).toEqual([]);
    expect(rowsMadeHere({ live, staged: shape({ 'public.users': 21 }), left })).toEqual([
      'public.users 90 -> 21',
      'public.made 40 -> 0',
    ]);
    expect(rowsMadeHere({ live, staged: shape({ 'public.users': 21 }) })).toEqual([]);
  });

  test('new tables and new rows are nobody to hold', () => {
    expect(rules(shape({ a: 5 }), shape({ a: 50, b: 9 }))).toEqual([]);
  });
});

describe('administrators', () => {
  test('the last one that goes is held', () => {
    expect(rules(shape({}, 2), shape({}, 0))).toEqual(['administrators-vanish']);
    expect(rules(shape({}, 2), shape({}, 1))).toEqual([]);
  });

  test('where there was none, or where nobody can tell, nothing is held for it', () => {
    expect(rules(shape({}, 0), shape({}, 0))).toEqual([]);
    expect(rules(shape({}), shape({}, 0))).toEqual([]);
    expect(rules(shape({}, 1), shape({}))).toEqual([]);
  });
});
