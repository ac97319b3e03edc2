import { describe, expect, it } from 'vitest';
import { judgeStatus, type ComponentStatus, type Situation } from '../../src/rules/verdict.ts';

const component = (extra: Partial<ComponentStatus> = {}): ComponentStatus => ({
  stream: 'sync-certs',
  ageSeconds: 5,
  limitSeconds: 900,
  state: 'applied',
  why: 'applied in 2 changes',
  ...extra,
});
const situation = (extra: Partial<Situation> = {}): Situation => ({
  role: 'passive',
  roleWhy: '',
  agentRuns: true,
  components: [component()],
  failing: [],
  trouble: undefined,
  openHolds: 0,
  hasSpare: true,
  spareTakesNothing: undefined,
  ...extra,
});

describe('the verdict of status', () => {
  it.each([
    ['all is well', {}, 0, 'OK: passive; both masters agreed on everything within 5 s'],
    ['nothing is installed', { role: 'not installed' }, 3, 'Type: pe-failover install'],
    ['the fact is broken', { role: 'suspended', roleWhy: 'no mode' }, 2, 'no mode'],
    ['the agent is dead', { agentRuns: false }, 2, 'systemctl start pe-failover'],
    [
      'a component was confirmed too long ago',
      { components: [component({ ageSeconds: 901 })] },
      2,
      'the limit is 15 min',
    ],
    [
      'a component never came',
      { components: [component({ ageSeconds: undefined as never })] },
      2,
      'nothing was ever confirmed',
    ],
    [
      'jobs are paused here',
      {
        components: [component({ ageSeconds: 901, excused: true })],
        paused: 'paused until 2026-11-26T12:00:00.000Z by alice: PE upgrade (sync-certs)',
      },
      1,
      'WARNING: paused until 2026-11-26T12:00:00.000Z by alice: PE upgrade (sync-certs). To end it, type: pe-failover resume',
    ],
    ['a drop failed', { components: [component({ state: 'failed', why: 'torn' })] }, 2, 'sync-certs: torn'],
    [
      'a job gave up',
      { failing: [{ job: 'greet-spare', latched: true, why: 'this active was overtaken' }] },
      2,
      'greet-spare: this active was overtaken',
    ],
    [
      'a job fails for a short time',
      { failing: [{ job: 'db-dump', latched: false, why: 'connection refused' }] },
      1,
      'db-dump fails, and is tried again: connection refused',
    ],
    ['the role cannot be entered', { trouble: 'the role passive could not be entered: x' }, 2, 'could not be entered'],
    ['the agent never ran', { role: 'not started', agentRuns: false }, 2, 'systemctl enable --now pe-failover'],
    [
      'a file system is nearly full',
      { nearlyFull: '/var is nearly full: 1.0 GB of 40 GB free' },
      1,
      '/var is nearly full',
    ],
    ['changes are held', { openHolds: 2 }, 1, '2 holds wait for a decision. Type: pe-failover holds'],
    [
      'the spare is suspended',
      { role: 'active', spareTakesNothing: 'masterb is suspended: no mode' },
      2,
      'the spare takes nothing in: masterb is suspended: no mode',
    ],
    [
      'the clock was set back',
      { components: [component({ ageSeconds: undefined as never, doubt: 'it is still to come' })] },
      2,
      'sync-certs: it is still to come',
    ],
    [
      'the spare holds a change',
      { role: 'active', components: [component({ state: 'held', why: '9 removals' })] },
      1,
      'sync-certs is held on the spare: 9 removals',
    ],
    [
      'a database waits too long to go live, though a job fails as well',
      {
        components: [component({ state: 'staged', overdue: 'Database a waits. Type: x' })],
        failing: [{ job: 'restore-dbs', latched: false, why: 'put off' }],
      },
      1,
      'WARNING: Database a waits. Type: x',
    ],
    ['an active has no spare', { role: 'active', hasSpare: false }, 1, 'pe_failover_passive_master'],
  ] as const)('when %s', (_, extra, code, text) => {
    const verdict = judgeStatus(situation(extra));
    expect(verdict.code).toBe(code);
    expect(verdict.text).toContain(text);
  });
});
