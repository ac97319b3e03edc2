import { describe, expect, it } from 'vitest';
import { machineIdOf, whyForeign } from '../../src/rules/machine.ts';
import { planTransition } from '../../src/rules/transition.ts';

const id = machineIdOf('0123456789abcdef0123456789abcdef\n');
const other = machineIdOf('ffffffffffffffffffffffffffffffff\n');
const here = { certname: 'mastera.lab', id: String(id) };

describe('state', () => {
  it.each([
    ['of this machine', here, undefined],
    ['of no machine yet', undefined, undefined],
    ['of before machine ids were known', { certname: 'mastera.lab' }, undefined],
    ['of another certname', { ...here, certname: 'masterb.lab' }, 'belongs to masterb.lab, and this is mastera.lab'],
    ['of another machine of this name', { ...here, id: String(other) }, 'on another machine'],
  ])('%s is judged: %s', (_, bound, why) => {
    expect(whyForeign(bound, here) ?? '').toContain(why ?? '');
    expect(whyForeign(bound, here) === undefined).toBe(why === undefined);
  });

  it('of another machine suspends, whatever the fact says, with both ways out', () => {
    for (const role of ['active', 'passive', 'suspended'] as const) {
      const plan = planTransition({ settled: 'active', foreign: 'a copy', fact: { role } });
      expect(plan).toMatchObject({ kind: 'suspend', why: 'a copy' });
      expect(plan).toMatchObject({ hint: expect.stringMatching(/install.*uninstall --purge/) as string });
    }
  });

  it('tells nobody the machine id itself', () => {
    expect(id).toMatch(/^[0-9a-f]{16}$/);
    expect('0123456789abcdef0123456789abcdef').not.toContain(String(id));
    expect(machineIdOf('uninitialized\n')).toBeUndefined();
  });
});
