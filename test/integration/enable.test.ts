import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createAgentListsBook } from '../../src/drops/agent-lists-book.ts';
import { carryOut, type CarryOutOptions } from '../../src/procedures/carry-out.ts';
import { disableSpare, enableSpare, type EnableParts } from '../../src/procedures/enable.ts';
import type { Procedure } from '../../src/procedures/procedure.ts';
import type { Classifier } from '../../src/puppet/classifier.ts';
import { digestGroups } from '../../src/rules/groups.ts';
import { agentProfile } from '../../src/rules/host-map.ts';
import { systemClock } from '../../src/system/clock.ts';
import { createJournal, type Journal } from '../../src/system/journal.ts';
import { createState } from '../../src/system/state.ts';
import type { Terminal } from '../../src/system/terminal.ts';
import { createWorld, groupsOf, signal, type ClassifierWorld } from '../helpers/classifier-pair.ts';
import { program } from '../helpers/pair.ts';
import type { ClassifierStandIn } from '../stand-in/classifier.ts';

const [own, host] = ['masterb.example.com', 'masterc.example.com']; // the stand-in's certificate is of masterb
let world: ClassifierWorld;
let standIn: ClassifierStandIn;
let home: string;
let journal: Journal;
beforeAll(async () => void (world = await createWorld()));
afterAll(() => world.close());
beforeEach(async () => {
  standIn = await world.start();
  home = mkdtempSync(join(tmpdir(), 'pe-failover-enable-'));
  journal = createJournal(join(home, 'procedure.jsonl'));
});
afterEach(async () => {
  await standIn.close();
  rmSync(home, { recursive: true });
});

const typed: CarryOutOptions = { listSteps: false, dryRun: false, yes: true, undo: false, passing: [] };
const lines: string[] = [];
const say = (line: string): void => void lines.push(line);
const terminal: Terminal = {
  ...{ isInteractive: false, say, confirm: () => Promise.resolve(true) },
  follow: async (tasks) => {
    for (const { run } of tasks) await run(say);
  },
};
const log = { success: say, warning: say, failure: say };

const partsWith = (classifier: EnableParts['classifier'] = world.classifierOf(standIn)): EnableParts => ({
  ...{ host, own, classifier, topology: undefined, skipAgentConfig: false, build: '2021.7.3' },
  role: () => Promise.resolve({ role: 'active' }),
  greet: () => Promise.resolve({ gate: { certname: host, role: 'passive' } }) as ReturnType<EnableParts['greet']>,
  lists: createAgentListsBook(createState(home)),
});
const run = (procedure: Procedure, options: Partial<CarryOutOptions> = {}): Promise<number> => {
  lines.length = 0;
  const parts = { journal, log, clock: systemClock, terminal, operator: 'alice' };
  return carryOut(procedure, { ...typed, ...options }, parts, signal);
};
const enable = (options: Partial<CarryOutOptions> = {}): Promise<number> => run(enableSpare(partsWith()), options);
const digest = (): string => digestGroups(groupsOf(standIn));
const lists = (name: string): unknown => groupsOf(standIn).find((one) => one.name === name)?.classes[agentProfile];
const edit = (name: string, delta: Record<string, unknown>): void => {
  standIn.tree.update(groupsOf(standIn).find((one) => one.name === name)?.id ?? '', delta);
};
/** Somebody edits right behind the first look. */
const after = (classifier: Classifier, looks: number, meanwhile: () => void): Classifier => ({
  ...classifier,
  groups: async (given) => {
    const groups = await classifier.groups(given);
    looks -= 1;
    if (looks === 0) meanwhile();
    return groups;
  },
});
const both = [`${own}:8140`, `${host}:8140`];

describe('enable', () => {
  it('shows the change, makes it, and disable gives back exactly what was there', async () => {
    const before = digest();
    expect(await enable()).toBe(0);
    expect(lists('PE Agent')).toEqual({
      ...{ server_list: both, primary_uris: both, pcp_broker_list: [`${own}:8142`, `${host}:8142`] },
    });
    expect(lines).toContain(`  note PE Agent: server_list: unset -> ["${own}:8140","${host}:8140"]`);
    expect(lines.join('\n')).toContain('puppet job run --no-enforce-environment');
    expect(await run(disableSpare(partsWith()))).toBe(0);
    expect(digest()).toBe(before);
    expect(await createAgentListsBook(createState(home)).read()).toBeUndefined();
  });

  it('keeps its note while another host is typed', async () => {
    await enable();
    const other = { ...partsWith(), host: 'masterd.example.com' };
    await expect(run(disableSpare(other))).rejects.toThrow(`enable wrote for ${host}`);
    await expect(run(enableSpare(other))).rejects.toThrow(`agents are told of ${host}`);
    expect((await createAgentListsBook(createState(home)).read())?.host).toBe(host);
  });

  it('with --dry-run shows it and changes nothing', async () => {
    const before = digest();
    expect(await enable({ dryRun: true })).toBe(0);
    expect(lines.join('\n')).toContain('pcp_broker_list: ["masterb.example.com:8142"] -> ');
    expect(digest()).toBe(before);
  });

  it('leaves the edit of somebody who was faster, and makes its own', async () => {
    const sly = after(world.classifierOf(standIn), 5, () => {
      for (const name of ['PE Agent', 'PE Infrastructure Agent']) edit(name, { variables: { v: 'his' } });
    });
    expect(await run(enableSpare(partsWith(sly)))).toBe(0);
    expect(lists('PE Agent')).toMatchObject({ server_list: both });
    expect(groupsOf(standIn).find(({ name }) => name === 'PE Agent')?.variables).toEqual({ v: 'his' });
    expect(standIn.seen.filter(({ method }) => method === 'POST').length).toBe(3); // one was refused with 409
  });

  it('is undone where somebody edits the same list meanwhile, and his list stays', async () => {
    const sly = after(world.classifierOf(standIn), 5, () =>
      edit('PE Infrastructure Agent', { classes: { [agentProfile]: { server_list: ['his'] } } }),
    );
    const refused = run(enableSpare(partsWith(sly)));
    await expect(refused).rejects.toThrow(
      'the node groups were edited meanwhile (PE Infrastructure Agent: server_list)',
    );
    expect(lists('PE Agent')).toEqual({});
    expect(lists('PE Infrastructure Agent')).toEqual({ pcp_broker_list: [`${own}:8142`], server_list: ['his'] });
  });

  const killedIn = async (n: number): Promise<void> => {
    const { steps } = enableSpare(partsWith());
    for (const step of steps.slice(0, n + 1)) await step.do({ tell: say, signal });
    await journal.record({
      ...{ run: 'enable', job: 'enable', step: steps[n]?.name ?? '', n, of: steps.length },
      ...{ args: { subject: host }, at: '2026-11-26T00:00:00Z' },
    });
  };

  it.each([0, 1, 2])('killed in step %i ends when it is typed again', async (n) => {
    const before = digest();
    await killedIn(n);
    expect(await enable()).toBe(0);
    expect(lists('PE Agent')).toMatchObject({ server_list: both });
    expect(await run(disableSpare(partsWith()))).toBe(0);
    expect(digest()).toBe(before);
  });

  it.each([0, 1])('killed in step %i is undone by --undo', async (n) => {
    const before = digest();
    await killedIn(n);
    expect(await enable({ undo: true })).toBe(0);
    expect(digest()).toBe(before);
    expect(await createAgentListsBook(createState(home)).read()).toBeUndefined();
  });

  it('that a classifier leaves half-way is undone when that is back', async () => {
    const before = digest();
    const id = groupsOf(standIn).find(({ name }) => name === 'PE Infrastructure Agent')?.id ?? '';
    standIn.fault({ kind: 'application-error', path: `/classifier-api/v1/groups/${id}` });
    await expect(enable()).rejects.toThrow('What was begun is undone');
    expect(digest()).toBe(before);
  });

  it.each<[string, Partial<EnableParts>, string]>([
    ['on a spare', { role: () => Promise.resolve({ role: 'passive' }) }, 'this master is passive'],
    ['for this master itself', { host: own }, 'that is this master itself'],
    [
      'for a spare that does not answer',
      { greet: () => Promise.reject(new Error('no route')) },
      'was not heard: unexpected error: no route',
    ],
  ])('is refused %s', async (_, given, words) => {
    const before = digest();
    await expect(run(enableSpare({ ...partsWith(), ...given }))).rejects.toThrow(words);
    expect(digest()).toBe(before);
  });

  it("is refused beside PE's own disaster recovery, and among compilers until the topology is said", async () => {
    edit('PE Infrastructure', { classes: { puppet_enterprise: { ha_enabled_replicas: ['masterr'] } } });
    await expect(enable()).rejects.toThrow("PE's own disaster recovery is enabled, with masterr");
    edit('PE Infrastructure', { classes: { puppet_enterprise: { ha_enabled_replicas: null } } });
    edit('PE Master', { rule: ['or', ['=', 'name', own], ['=', 'name', 'compile1']] });
    await expect(enable()).rejects.toThrow('there are compilers: compile1');
    expect(await run(enableSpare({ ...partsWith(), topology: 'mono-with-compile' }))).toBe(0);
    expect(lists('PE Agent')).toEqual({});
  });
});

it('without a classifier of PE enable and disable print what to write, and change nothing', () => {
  mkdirSync(join(home, 'etc/puppetlabs/pe_failover'), { recursive: true });
  writeFileSync(
    join(home, 'etc/puppetlabs/pe_failover/pe_failover.yaml'),
    'platform: puppet\ncertname: mastera.example.com\n',
  );
  const print = (verb: string): string =>
    spawnSync(program, [verb, 'masterb.example.com', '--root', home], { encoding: 'utf8' }).stdout;
  expect(print('enable')).toContain('\n    server_list = mastera.example.com:8140,masterb.example.com:8140\n');
  expect(print('disable')).toContain('Take masterb.example.com:8140 out of server_list');
});
