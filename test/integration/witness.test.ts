import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyForbidden } from '../../src/agent/witness.ts';
import { exec } from '../../src/system/exec.ts';
import { createAgentPair, filesOnly, placed, secretOf, startBoth } from '../helpers/agents.ts';

let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'pe-failover-witness-'));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

const shell = (line: string) => ({ command: ['/bin/sh', '-c', line] });

describe('a witness', () => {
  it.each([
    ['that is not configured', {}],
    ['whose file is not there', { path: '/nowhere/mastera-is-active' }],
    ['whose command ends well, whatever it says', shell('echo no')],
  ])('%s permits', async (_, witness) => {
    expect(await whyForbidden(witness, exec)).toBeUndefined();
  });

  it.each([
    ['whose file is there', { path: '/etc/passwd' }, /passwd is there/],
    ['whose file cannot be looked at', { path: `/etc/${'x'.repeat(300)}` }, /could not be looked at/],
    ['whose command says no', shell('echo mastera lives; exit 1'), /sh says: mastera lives/],
    ['whose command fails without a word', shell('exit 3'), /exit code 3/],
    ['whose command is not there', { command: ['/nowhere/may-promote'] }, /could not be started/],
    ['whose command hangs', shell('sleep 60'), /did not end within 0.3 s/],
    ['whose file is there, though its command permits', { path: '/etc/passwd', ...shell('true') }, /is there/],
  ])('%s forbids, with the reason', async (_, witness, reason) => {
    expect(await whyForbidden(witness, exec, 300)).toMatch(reason);
  });
});

it('a spare whose witness forbids it is not promoted, and says so; later it is', async () => {
  const forbids = join(home, 'mastera-is-active');
  await using pair = await createAgentPair(() => `${filesOnly()}witness: {path: ${forbids}}\n`);
  const { a, b } = pair;
  await startBoth(pair);
  writeFileSync(forbids, '');
  b.setFacts({ pe_failover_mode: 'active', pe_failover_passive_master: '127.0.0.1' });
  expect(await b.says(/\[FAILURE\].*witness/)).toMatch(/mastera-is-active is there.*systemctl restart pe-failover/);
  b.setFacts({ pe_failover_mode: 'passive' });
  writeFileSync(secretOf(a), 'second');
  await b.says(placed);

  b.setFacts({ pe_failover_mode: 'active', pe_failover_passive_master: '127.0.0.1' });
  await b.says(/\[FAILURE\].*witness/);
  rmSync(forbids);
  await b.stop();
  b.start();
  await b.says(/Promoted: epoch 2\./);
});
