import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judgeRole, sameRole } from '../../src/rules/role.ts';

const path = '/opt/puppetlabs/facter/facts.d/pe_failover.yaml';
const judge = (value: unknown) => judgeRole({ kind: 'read', value }, path);
const write = `Write pe_failover_mode: active or pe_failover_mode: passive into ${path}`;

describe('the role', () => {
  it('is what the fact says, with what belongs to it', () => {
    const facts = {
      pe_failover_key: 'ssh-ed25519 AAAA pe-failover:mastera:x:y',
      pe_failover_passive_master: 'masterb.example.com',
      pe_failover_pdb_peer: 'masterb.example.com',
      other: 1,
    };
    expect(judge({ ...facts, pe_failover_mode: 'active' })).toEqual({
      role: 'active',
      passiveMaster: 'masterb.example.com',
      pdbPeer: 'masterb.example.com',
    });
    expect(judge({ ...facts, pe_failover_mode: 'passive' })).toEqual({
      role: 'passive',
      key: facts.pe_failover_key,
      pdbPeer: 'masterb.example.com',
    });
    expect(judge({ pe_failover_mode: 'active', pe_failover_passive_master: '', pe_failover_key: null })).toEqual({
      role: 'active',
    });
  });

  it.each([
    ['no file', { kind: 'missing' } as const, `${path} does not exist`, write],
    ['no YAML', { kind: 'unreadable', why: 'not YAML (x)' } as const, `${path} cannot be read: not YAML (x)`, write],
    ['an empty file', { kind: 'read', value: null } as const, `${path} holds no facts`, write],
    ['a list', { kind: 'read', value: ['active'] } as const, `${path} holds no facts`, write],
    ['no mode', { kind: 'read', value: {} } as const, `pe_failover_mode is not in ${path}`, write],
  ])('is suspended with %s, saying what to write where', (_what, fact, why, hint) => {
    expect(judgeRole(fact, path)).toEqual({ role: 'suspended', why, hint });
  });

  it.each([
    ['Active', '"Active"'],
    ['standby', '"standby"'],
    [true, 'true'],
    [['active'], 'a list'],
    [{ a: 1 }, 'a map'],
    ['x'.repeat(100), `"${'x'.repeat(40)}..."`],
  ])('is suspended with the mode %j, showing it', (mode, shown) => {
    expect(judge({ pe_failover_mode: mode })).toMatchObject({ role: 'suspended', why: `pe_failover_mode is ${shown}` });
  });

  it.each([
    [{ pe_failover_passive_master: 5 }, 'pe_failover_passive_master'],
    [{ pe_failover_passive_master: '-oProxyCommand=x' }, 'pe_failover_passive_master'],
    [{ pe_failover_passive_master: 'a b' }, 'pe_failover_passive_master'],
    [{ pe_failover_pdb_peer: ['a'] }, 'pe_failover_pdb_peer'],
    [{ pe_failover_key: 'one\ntwo' }, 'pe_failover_key'],
  ])('is suspended where another fact is wrong: %j', (facts, name) => {
    const role = judge({ pe_failover_mode: 'active', ...facts });
    expect(role).toMatchObject({ role: 'suspended', why: expect.stringContaining(name) as string });
    expect(role).toMatchObject({ hint: expect.stringMatching(`^Write ${name}: `) as string });
  });

  it('is a role, or a suspension with a sentence and a hint, whatever stands in the file', () => {
    const names = ['pe_failover_mode', 'pe_failover_key', 'pe_failover_passive_master', 'pe_failover_pdb_peer'];
    const value = fc.oneof(fc.anything(), fc.constantFrom('active', 'passive'));
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.dictionary(fc.constantFrom(...names), value)), (anything) => {
        const role = judge(anything);
        if (role.role === 'suspended') expect([role.why, role.hint].every((text) => text.length > 0)).toBe(true);
        expect(sameRole(role, role)).toBe(true);
      }),
    );
  });
});
