import { existsSync, readFileSync, rmSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createAgentPair, type AgentPair } from '../helpers/agents.ts';
import { readCrls } from '../../src/system/certificates.ts';
import { revokedIn } from '../helpers/ca-pair.ts';
import { pathsBelow } from '../helpers/pair.ts';
import { createTestCa, type TestCa } from '../stand-in/ca.ts';

// The agents see what happens in the CA by themselves: the interval, which would find it too, is a day away.
const config = (): string => 'jobs: {sync_certs: {every: 1d}, update_passive_ca: {every: 1d}}\n';
const synced = /sync_certs\.sh ---> \[SUCCESS\] Completed sync of Puppet CA directory/;

let pair: AgentPair;
let ca: TestCa;
beforeEach(async () => {
  pair = await createAgentPair(config);
  const { a, b } = pair;
  ca = await createTestCa(a.cadir, { name: 'agents.lab' });
  await ca.sign('first.lab');
  await cp(a.cadir, b.cadir, { recursive: true });
  b.start();
  a.start();
  await a.says(synced);
});
afterEach(() => pair[Symbol.asyncDispose]());

const isThere = (name: string): boolean => existsSync(join(pair.b.cadir, 'signed', `${name}.pem`));

it('a revocation, which touches ca_crl.pem alone, is obeyed on the spare without waiting for anything', async () => {
  const serial = await ca.sign('stolen.lab');
  await expect.poll(() => isThere('stolen.lab'), { timeout: 20_000 }).toBe(true);
  await ca.revoke('stolen.lab');
  await expect.poll(() => revokedIn(pair.b.cadir), { timeout: 20_000 }).toEqual([serial]);
});

it('a burst of 500 signings is a few pushes, none of which fails, and all are there', async () => {
  const drops = (): number => {
    const { sequence } = JSON.parse(readFileSync(join(pathsBelow(pair.a.root).streams, 'sync-certs.json'), 'utf8')) as {
      sequence: number;
    };
    return sequence;
  };
  const before = drops();
  const names = Array.from({ length: 500 }, (_, n) => `burst-${n}.lab`);
  await ca.signMany(names);
  await expect.poll(() => names.filter((name) => !isThere(name)), { timeout: 30_000 }).toEqual([]);
  expect(drops() - before).toBeLessThan(50);
  expect(pair.a.log.filter((line) => line.includes('[FAILURE]'))).toEqual([]);
});

it('what was signed and revoked while the spare was away, or the agent here, is there when they are back', async () => {
  const { a } = pair;
  const serial = await ca.sign('revoked.lab');
  await expect.poll(() => isThere('revoked.lab'), { timeout: 20_000 }).toBe(true);
  const mend = await pair.cutOff();
  await ca.sign('while-the-spare-was-away.lab');
  await ca.revoke('revoked.lab');
  await a.says(/sync_certs\.sh ---> \[FAILURE\]/);
  await mend();
  await expect.poll(() => isThere('while-the-spare-was-away.lab'), { timeout: 30_000 }).toBe(true);
  await expect.poll(() => revokedIn(pair.b.cadir), { timeout: 20_000 }).toEqual([serial]);
  await a.says(/sync_certs\.sh ---> \[SUCCESS\] works again/);

  await a.stop('SIGKILL');
  await ca.sign('while-nobody-looked.lab');
  a.start();
  await expect.poll(() => isThere('while-nobody-looked.lab'), { timeout: 30_000 }).toBe(true);
});

it('a mass clean is announced on the active alone, is shown by its status, goes through, and uses the announcement up', async () => {
  const { a, b } = pair;
  const fleet = Array.from({ length: 30 }, (_, n) => `fleet-${n}.lab`);
  await ca.signMany(fleet);
  await expect.poll(() => fleet.filter((name) => !isThere(name)), { timeout: 20_000 }).toEqual([]);
  const announce = ['--expect-deletions', '30', '--for', '30m'] as const;
  for (const [master, job, code, what] of [
    [b, 'sync-certs', 75, 'only an active announces deletions: this master is passive'],
    [a, 'nc-dump', 64, '--expect-deletions and --for belong together'],
  ] as const) {
    const refused = master.command('run', job, ...announce);
    expect([refused.code, refused.output]).toEqual([code, expect.stringContaining(what)]);
  }
  const { code, output } = a.command('run', 'sync-certs', ...announce);
  expect([code, output]).toEqual([0, expect.stringMatching(/^Up to 30 deletions expected until 2.*Z\.\nsync-certs: /)]);
  const expected = (): unknown =>
    (JSON.parse(a.command('status', '--json').output) as { expectedDeletions?: unknown }).expectedDeletions;
  expect(expected()).toMatchObject({ count: 30 });
  expect(a.command('status').output).toContain('Up to 30 deletions of certificates expected until ');
  for (const name of fleet) rmSync(ca.certificatePath(name));
  await expect.poll(() => fleet.filter(isThere), { timeout: 20_000 }).toEqual([]);
  expect(b.command('holds').output).toBe('Nothing is held.\n');
  await expect.poll(expected, { timeout: 20_000 }).toBeUndefined();
});

it('a promotion issues the CRL anew, far above what the old active revokes before it hears of it; then both have both', async () => {
  const { a, b } = pair;
  await ca.revoke('first.lab');
  await expect.poll(() => revokedIn(b.cadir), { timeout: 20_000 }).toHaveLength(1);
  await a.stop();
  b.setFacts({ pe_failover_mode: 'active' });
  await b.says(/Promoted: epoch 2\./);
  const [list] = readCrls(readFileSync(join(b.cadir, 'ca_crl.pem')), 'ca_crl.pem');
  expect(list?.number).toBeGreaterThan(100_000n);
  expect([...(list?.revoked.keys() ?? [])]).toEqual(await revokedIn(a.cadir));

  const late = await ca.sign('late.lab');
  await ca.revoke('late.lab');
  a.setFacts({ pe_failover_mode: 'passive' });
  a.start();
  await a.says(/this active is demoted/);
  b.setFacts({ pe_failover_passive_master: '127.0.0.1' });
  const both = [...(list?.revoked.keys() ?? []), late].sort();
  for (const { cadir } of [b, a]) await expect.poll(() => revokedIn(cadir), { timeout: 40_000 }).toEqual(both);
});
