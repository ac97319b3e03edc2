import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Failure } from '../../src/errors.ts';
import { parseConfirmation } from '../../src/rules/confirm.ts';
import { parseGate } from '../../src/rules/gate.ts';
import { parseHello } from '../../src/rules/hello.ts';
import { readManifest } from '../../src/rules/manifest.ts';
import { parseSigned, programVersion } from '../../src/rules/program.ts';
import { parseReceipt, shortened, type Receipt } from '../../src/rules/receipt.ts';
import * as some from '../helpers/arbitrary-drops.ts';

const one = <Value>(values: fc.Arbitrary<Value>): Value => fc.sample(values, 1)[0] as Value;

it('the program knows the version of its package', () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  expect(programVersion).toBe(version);
});

describe('what a newer version signed', () => {
  const gate = {
    ...{ format: 1, role: 'passive', certname: 'masterb.test', epoch: { number: 1, id: '00c0ffee00c0ffee' } },
    ...{ since: '2026-01-01T00:00:00.000Z', fact: 'f'.repeat(64) },
  };
  it.each<[string, (value: unknown) => unknown, object]>([
    ['a manifest', readManifest, one(some.aManifest)],
    ['a receipt', parseReceipt, one(some.aReceipt)],
    ['a confirmation', parseConfirmation, one(some.aConfirmation)],
    ['a greeting', parseHello, one(some.aHello)],
    ['a gate', parseGate, gate],
  ])('%s with a field more is read all the same', (_, parse, value) => {
    expect(parse({ ...value, program: '9.0.0', later: { added: [1] } })).toMatchObject(value);
  });

  it('a greeting that names a stream of its own is read, and that stream left out', () => {
    const { accepted, ...hello } = one(some.aHello);
    const more = { ...accepted, 'sync-moon': { phase: 'full' } };
    expect(parseHello({ ...hello, accepted: more }).accepted).toEqual(accepted);
  });

  const failureFor = (program: unknown): Failure => {
    try {
      parseSigned({ ...one(some.aHello), format: 2, program }, parseHello);
    } catch (error) {
      if (error instanceof Failure) return error;
    }
    throw new Error('no failure');
  };

  it('of another format is refused with both versions, and what to do', () => {
    expect(failureFor('9.0.0')).toMatchObject({
      why: `is not 1; 9.0.0 of pe-failover wrote it, and this is ${programVersion}`,
      hint: 'Install the same version on both masters',
    });
  });

  it('of the same version is plain bad data, and one that does not say is of an unknown version', () => {
    expect(failureFor(programVersion).why).toBe('is not 1');
    expect(failureFor(undefined).why).toContain('an unknown version of pe-failover');
  });
});

describe('a receipt', () => {
  const receipt: Receipt = { ...one(some.aReceipt), state: 'failed' };
  const names = Array.from({ length: 5000 }, (_, n) => `signed/host${n}.pem`);

  it('of a very long reason and list is some kB, says what is left out, and is read', () => {
    const live = { ok: false, missing: names, differing: [] };
    const short = shortened({ ...receipt, why: 'x'.repeat(1_000_000), live });
    expect(JSON.stringify(short).length).toBeLessThan(10_000);
    expect(short.live?.missing.at(-1)).toBe('and 4900 more');
    expect(parseReceipt(short)).toEqual(short);
  });

  it('with a comparison that is none is refused', () => {
    for (const live of [null, [], { ok: 1, missing: [], differing: [] }, { ok: true, missing: '', differing: [] }])
      expect(() => parseReceipt({ ...receipt, live })).toThrow('receipt refused (receipt.live');
  });
});
