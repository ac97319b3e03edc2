import { describe, expect, it } from 'vitest';
import { surplusOf, type LoginSession } from '../../src/rules/login-sessions.ts';

const session = (pid: number, idleMs: number | undefined, startedAt = pid): LoginSession => ({
  pid,
  idleMs,
  startedAt,
});
const ended = (sessions: readonly LoginSession[], most: number): number[] =>
  surplusOf(sessions, most).map(({ pid }) => pid);

describe('of too many connections', () => {
  it('no more than the surplus is ended, and none where there is none', () => {
    const idle = [session(1, 10), session(2, 10), session(3, 10)];
    expect(ended(idle, 3)).toEqual([]);
    expect(ended(idle, 1)).toHaveLength(2);
  });

  it('those that were idle for longest go first, and of these the youngest', () =>
    expect(ended([session(1, 30_000), session(2, 10_000), session(3, 30_000), session(4, 0)], 1)).toEqual([3, 1, 2]));

  it('one in which something runs is left', () =>
    expect(ended([session(1, undefined), session(2, undefined), session(3, 0)], 1)).toEqual([3]));
});
