import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { caStateOf, lostOn } from './ca-state.ts';
import { eventually } from './eventually.ts';
import { chosenOf } from './extent.ts';
import { startLightPair, type LightPair } from './light-pair.ts';
import { asMaster, secrets, untilAgreed, type LabMaster } from './pair.ts';
import { copyDisk, withoutSyslog } from './snapshot.ts';
import { activeOver, asAtFirst, has, is, passive, signOn } from './turning.ts';

let pair: LightPair;
let copy: LabMaster;
beforeAll(async () => {
  pair = await startLightPair('clone');
  copy = asMaster(pair.lab.host('agent'));
}, 300_000);
beforeEach(async () => {
  await Promise.all([pair.a.boot(), pair.b.boot()]);
  await asAtFirst(pair);
}, 300_000);
afterEach(() => copy.wipe());
afterAll(() => pair[Symbol.asyncDispose]());

const secretOf = (master: LabMaster): string => join(master.path(secrets), 'eyaml');
const newMachineId = (root: string): Promise<void> =>
  writeFile(join(root, 'etc/machine-id'), `${randomUUID().replaceAll('-', '')}\n`);
const newName = async (root: string): Promise<void> => {
  await writeFile(join(root, 'etc/hostname'), 'agent\n');
  await writeFile(join(root, 'etc/puppet/puppet.conf'), '[main]\ncertname = agent.lab\nserver = agent.lab\n');
};

/** The third host comes up with a copy of that disk, on which `changes` were made before. */
async function bootCopyOf(
  master: LabMaster,
  ...changes: readonly ((root: string) => Promise<void>)[]
): Promise<LabMaster> {
  await master.shutDown();
  await mkdir(dirname(copy.image), { recursive: true });
  await copyDisk(master.image, copy.image);
  await master.boot();
  copy.syslog.forget();
  await copy.boot(async (root) => {
    await withoutSyslog(root);
    for (const change of changes) await change(root);
  });
  return copy;
}

/** What the gate of a host says to whoever has the key of mastera. */
async function askGate(from: LabMaster, of: LabMaster): Promise<Record<string, unknown>> {
  const options = '-o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR';
  const key = '-i /etc/puppetlabs/pe_failover/keys/transfer';
  const { stdout } = await from.try(`ssh ${options} ${key} pe-transfer@${of.fqdn} hello 0123456789abcdef`);
  return JSON.parse(stdout) as Record<string, unknown>;
}

const ways = [
  ['with a name of its own', [newMachineId, newName], /belongs to mastera\.lab, and this is agent\.lab/],
  ['with the same name', [newMachineId], /belongs to mastera\.lab on another machine/],
] as const;

describe('a copy of the active on another machine', () => {
  it.each(ways)(
    '%s wakes suspended, says the ways out, and sends nothing',
    async (_, changes, why) => {
      const { a, b } = pair;
      const other = await bootCopyOf(a, ...changes);
      const said = await other.syslog.says(/\[FAILURE\] All jobs are suspended/);
      expect(said).toMatch(why);
      expect(said).toMatch(/pe-failover install.*uninstall --purge/);
      expect((await other.status()).role).toBe('suspended');
      await signOn(other, 'by-copy.lab');
      await writeFile(secretOf(other), 'of a copy');
      expect((await other.command('run sync-files')).code).not.toBe(0);
      await signOn(a, 'by-active.lab');
      await eventually('what the active signs arrives', () => has(b, 'by-active.lab'));
      await untilAgreed(pair);
      expect(has(b, 'by-copy.lab')).toBe(false);
      expect(readFileSync(secretOf(b), 'utf8')).not.toBe('of a copy');
      expect((await askGate(b, other))['ok']).toBe(false);

      expect((await other.command('uninstall --purge')).code).toBe(0);
      expect(existsSync(other.path('/var/lib/pe_failover'))).toBe(false);
    },
    300_000,
  );

  it('that takes the place of it goes on as the active, once install is typed', async () => {
    const { a, b } = pair;
    const other = await bootCopyOf(a, newMachineId);
    await other.syslog.says(/\[FAILURE\] All jobs are suspended/);
    await a.shutDown();
    const { code, output } = await other.command('install --active --passive-master masterb.lab');
    expect(code, output).toBe(0);
    expect(output).toContain('bind the state here to this machine');
    await is(other, 'active');
    await signOn(other, 'by-replacement.lab');
    await eventually('what it signs arrives', () => has(b, 'by-replacement.lab'));
    await other.shutDown();
    await a.boot();
    await eventually('the old machine has it, too', () => has(a, 'by-replacement.lab'), { withinMs: 90_000 });
  }, 300_000);

  it('that nobody can tell from it pushes too: the sequences fork, both say so, and of the CA nothing is lost', async () => {
    const { a, b } = pair;
    const other = await bootCopyOf(a);
    await is(other, 'active');
    for (const master of [a, other]) await signOn(master, `by-${master.name}.lab`);
    await writeFile(secretOf(a), 'of the active');
    await eventually('it arrives', () => readFileSync(secretOf(b), 'utf8') === 'of the active');
    await writeFile(secretOf(other), 'of a copy');
    await other.syslog.says(/sync_files\.sh ---> \[FAILURE\].*forked or rolled back/, 60_000);
    // The CA of each is united once. It shows when both go on.
    const forked = /sync_certs\.sh ---> \[FAILURE\].*forked or rolled back/;
    let signed = 0;
    await eventually(
      'one of them says it of the CA',
      async () => {
        if ([a, other].some(({ syslog }) => syslog.lines().some((line) => forked.test(line)))) return true;
        signed += 1;
        for (const master of [a, other]) await signOn(master, `by-${master.name}-${signed}.lab`);
        return false;
      },
      { withinMs: 120_000, everyMs: 2_000 },
    );
    expect(readFileSync(secretOf(b), 'utf8')).toBe('of the active');
    const state = caStateOf(b);
    await other.shutDown();
    await a.editFact(passive);
    await is(a, 'passive');
    await a.editFact(activeOver(b));
    await is(a, 'active');
    await untilAgreed(pair);
    expect(lostOn(b, state)).toEqual([]);
    await eventually('the active has all of it', () => lostOn(a, state).length === 0, { withinMs: 90_000 });
  }, 300_000);
});

describe('a copy of the spare on another machine', () => {
  it.each(chosenOf(ways))(
    '%s answers nothing and takes nothing in',
    async (_, changes) => {
      const { a, b } = pair;
      const other = await bootCopyOf(b, ...changes);
      await other.syslog.says(/\[FAILURE\] All jobs are suspended/);
      const { ok, why } = await askGate(a, other);
      expect(ok).toBe(false);
      expect(why).toContain('belongs to another machine');
      expect((await askGate(a, b))['ok']).toBe(true);
      await untilAgreed(pair);
    },
    300_000,
  );
});
