import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { newGroup } from '../stand-in/classifier-model.ts';
import {
  caProblem,
  certificatesProblem,
  readCertificate,
  revocationsProblem,
  signedBy,
  verdictOf,
  type Problem,
} from './compare-ca.ts';
import { groupsProblem, infrastructureProblem } from './compare-classifier.ts';
import { databaseNumber, rbacProblem } from './compare-rbac.ts';
import { runningConsole } from './console-service.ts';
import { check, inSeconds, untilLive, type CheckResult, type Stage } from './checks.ts';
import { command, keysJson, restoreEveryMs, type DemoMaster } from './master.ts';
import { until } from './until.ts';

/** A day of an active, in short. Each act is followed by a look at both sides. */
export async function playDay(stage: Stage): Promise<CheckResult[]> {
  const { b } = stage.world;
  await makeOwn(b);
  const before = await b.console.groups();
  return [
    await check(stage, 'first-copy-live-on-spare', () => firstCopy(stage)),
    await check(stage, 'certificate-live-on-spare', () => signOne(stage)),
    await check(stage, 'burst-live-on-spare', () => signMany(stage)),
    await check(stage, 'revocation-live-on-spare', () => revoke(stage)),
    await check(stage, 'removal-live-on-spare', () => clean(stage)),
    await check(stage, 'classifier-equal', () => editGroups(stage)),
    await check(stage, 'infrastructure-groups-kept', () => keepInfrastructure(stage, before)),
    await check(stage, 'rbac-equal', () => changeRbac(stage)),
    await check(stage, 'unchanged-restore-stops-nothing', () => changeNothing(stage)),
    await check(stage, 'authority-equal', () => compareWhole(stage)),
  ];
}

/** What the platform's groups of B have of their own, and must keep. */
async function makeOwn({ console }: DemoMaster): Promise<void> {
  const groups = await console.groups();
  const idOf = (name: string): string => groups.find((group) => group.name === name)?.id ?? '';
  await console.pin(idOf('PE Master'), 'compiler-of-b.demo');
  await console.edit(idOf('PE Infrastructure'), { classes: { puppet_enterprise: { database_host: 'db-of-b.demo' } } });
}

export async function keyFilesProblem(from: DemoMaster, to: DemoMaster): Promise<Problem> {
  const [theirs, ours] = await Promise.all([from, to].map(({ root }) => readFile(join(root, keysJson), 'utf8')));
  return theirs === ours ? undefined : `${keysJson} differs on ${to.letter}`;
}

async function firstCopy(stage: Stage): Promise<string> {
  const { a, b } = stage.world;
  const nothing = { act: async () => undefined, limitMs: 60_000 };
  const parts = [
    { kind: 'CA', what: 'adoption of the CA', problem: () => caProblem(a, b) },
    { kind: 'node groups', what: 'first import', problem: () => groupsProblem(a, b) },
    { kind: 'RBAC', what: 'first restore', problem: () => rbacProblem(a, b) },
    { kind: 'key files', what: 'keys.json', problem: () => keyFilesProblem(a, b) },
  ] as const;
  const times = await Promise.all(parts.map((part) => untilLive(stage, { ...part, ...nothing })));
  return parts.map(({ kind }, n) => `${kind} after ${inSeconds(times[n] ?? 0)}`).join(', ');
}

async function signOne(stage: Stage): Promise<string> {
  const { a, b, ca } = stage.world;
  const names = ['web-1.demo', 'web-2.demo', 'web-3.demo'];
  const times: number[] = [];
  for (const name of names) {
    const problem = (): Promise<Problem> => certificatesProblem(a, b, [name]);
    times.push(
      await untilLive(stage, { kind: 'CA', what: `signed ${name}`, act: () => ca.sign(name), problem, everyMs: 5 }),
    );
    const verdict = await verdictOf(b, await readCertificate(a, name));
    if (verdict !== 'OK') throw new Error(`openssl on B says of ${name}: ${verdict}`);
  }
  return `3 signed; on B with inventory and serial after ${times.map(inSeconds).join(', ')}`;
}

async function signMany(stage: Stage): Promise<string> {
  const { a, b, ca } = stage.world;
  const names = Array.from({ length: 50 }, (_, n) => `burst-${n + 1}.demo`);
  const act = (): Promise<unknown> => ca.signMany(names);
  const problem = (): Promise<Problem> => certificatesProblem(a, b, names);
  const ms = await untilLive(stage, { kind: 'CA', what: 'signed 50 at once', act, problem, everyMs: 20 });
  return `all 50 on B ${inSeconds(ms)} after the last was signed`;
}

async function revoke(stage: Stage): Promise<string> {
  const { a, b, ca } = stage.world;
  const [bad, good] = [await readCertificate(a, 'agent-1.demo'), await readCertificate(a, 'agent-2.demo')];
  const earlier = await verdictOf(b, bad);
  if (earlier !== 'OK') throw new Error(`openssl on B said of agent-1.demo before it was revoked: ${earlier}`);
  const problem = (): Promise<Problem> => revocationsProblem(a, b);
  const act = (): Promise<void> => ca.revoke('agent-1.demo');
  const ms = await untilLive(stage, { kind: 'CA', what: 'revoked agent-1.demo', act, problem, everyMs: 10 });
  const verdicts = [await verdictOf(b, bad), await verdictOf(b, good)];
  if (verdicts[0] !== 'certificate revoked' || verdicts[1] !== 'OK')
    throw new Error(`openssl on B says of the revoked one: ${verdicts[0]}, of another: ${verdicts[1]}`);
  return `refused by B's CRL ${inSeconds(ms)} after the revocation, others are not`;
}

async function clean(stage: Stage): Promise<string> {
  const { a, b, ca } = stage.world;
  const certificate = await readCertificate(a, 'agent-3.demo');
  const problem = async (): Promise<Problem> =>
    (await signedBy(b)).includes('agent-3.demo')
      ? 'B still has signed/agent-3.demo.pem'
      : await revocationsProblem(a, b);
  const act = (): Promise<void> => ca.clean('agent-3.demo');
  const ms = await untilLive(stage, { kind: 'CA', what: 'cleaned agent-3.demo', act, problem, everyMs: 10 });
  const verdict = await verdictOf(b, certificate);
  if (verdict !== 'certificate revoked') throw new Error(`openssl on B says of the cleaned one: ${verdict}`);
  return `gone from B and revoked there after ${inSeconds(ms)}`;
}

async function editGroups(stage: Stage): Promise<string> {
  const { a, b } = stage.world;
  const problem = (): Promise<Problem> => groupsProblem(a, b);
  const mine = newGroup({
    name: 'Web servers',
    description: `Served by ${a.certname}`,
    rule: ['and', ['~', 'name', '^web-'], ['=', ['trusted', 'extensions', 'pp_role'], 'web']],
    variables: {
      file_server: `https://${a.certname}:8140/files`,
      other: `not-${a.certname} and ${a.certname}.example`,
      pair: [a.certname, b.certname],
      nested: { port: 8140, hosts: [`${a.certname}:8140`] },
    },
  });
  const parent = (await a.console.groups()).find(({ name }) => name === 'PE Master')?.id ?? '';
  const compilers = newGroup({ name: 'Compilers', parent, rule: ['or', ['=', 'name', 'compiler-1.demo']] });
  const gone = newGroup({ name: 'Short-lived' });
  const acts: readonly (readonly [string, () => Promise<void>])[] = [
    ['made 3 groups', async () => { for (const group of [mine, compilers, gone]) await a.console.put(group); }],
    ['edited a group, pinned a node, removed a group', async () => {
      await a.console.edit(mine.id, { variables: { other: null, colour: 'blue' }, description: 'edited' });
      await a.console.pin(compilers.id, 'compiler-2.demo');
      await a.console.remove(gone.id);
    }],
  ]; // prettier-ignore
  const times: number[] = [];
  for (const [what, act] of acts) times.push(await untilLive(stage, { kind: 'node groups', what, act, problem }));
  return `both edits on B, host names exchanged, after ${times.map(inSeconds).join(', ')}`;
}

async function keepInfrastructure(stage: Stage, before: Parameters<typeof infrastructureProblem>[2]): Promise<string> {
  const { a, b } = stage.world;
  const problem = await infrastructureProblem(a, b, before);
  if (problem !== undefined) throw new Error(problem);
  const naming = (await b.console.groups()).filter((group) => JSON.stringify(group.rule ?? []).includes(a.certname));
  if (naming.length > 0) throw new Error(`rules on B name A's host: ${naming.map(({ name }) => name).join(', ')}`);
  return "the platform's groups have A's ids and B's own pins and hosts";
}

async function changeRbac(stage: Stage): Promise<string> {
  const { a, b } = stage.world;
  const sql = (text: string): Promise<unknown> => a.cluster.sql('pe-rbac', text);
  const problem = (): Promise<Problem> => rbacProblem(a, b);
  const acts = [
    ['a new user with a role', `INSERT INTO subjects (id, login) VALUES ('${randomUUID()}', 'demo-user');
       INSERT INTO subjects_has_roles SELECT id, 3 FROM subjects WHERE login = 'demo-user'`],
    ['a user revoked, a role renamed', `UPDATE subjects SET is_revoked = true WHERE login = 'demo-user';
       UPDATE roles SET display_name = 'Operators' WHERE id = 3`],
  ] as const; // prettier-ignore
  const times: number[] = [];
  for (const [what, text] of acts) {
    const change = { kind: 'RBAC' as const, what, act: () => sql(text), problem, limitMs: 60_000 };
    times.push(await untilLive(stage, change));
    await until(() => consoleProblem(b), { limitMs: 30_000, signal: stage.signal });
  }
  return `equal rows and definitions on both after ${times.map(inSeconds).join(', ')}; the console of B serves`;
}

/** The console answers and is in touch with its database. */
export async function consoleProblem({ console, letter }: DemoMaster): Promise<Problem> {
  return (await console.groups()).length > 0 ? undefined : `the console of ${letter} has no groups`;
}

/** Logins and passes over unchanged data: the service's process and the database itself stay the ones they were. */
async function changeNothing(stage: Stage): Promise<string> {
  const { a, b } = stage.world;
  const seen = async (): Promise<string> => {
    const service = await runningConsole(b.consoleDirectory);
    return `process ${service?.pid ?? 'none'} started at tick ${service?.started ?? '-'}, database ${await databaseNumber(b)}`;
  };
  const before = await seen();
  if (before.includes('none')) throw new Error('the console of B does not run');
  for (let n = 0; n < 20; n += 1) {
    await a.cluster.sql('pe-rbac', logIn(n + 1));
  }
  for (const [master, job] of [
    [a, 'db-dump'],
    [b, 'restore-dbs'],
    [b, 'restore-dbs'],
  ] as const)
    // prettier-ignore
    await until(() => passProblem(master, job), { limitMs: 30_000, signal: stage.signal });
  await sleep(2 * restoreEveryMs, undefined, { signal: stage.signal }); // passes by the clock
  const after = await seen();
  if (after !== before) throw new Error(`before: ${before}; after: ${after}`);
  return `20 logins, restores by hand and by the clock: still ${after}`;
}

const logIn = (n: number): string => `
  UPDATE subjects SET last_login = now(), failed_login_attempts = 0 WHERE login = 'User${n}';
  INSERT INTO tokens (user_id, token, creation, expiration)
    SELECT id, gen_random_uuid()::text, now(), now() + interval '1 hour' FROM subjects WHERE login = 'User${n}'`;

/** A pass that finds the lock busy is tried again. */
async function passProblem(master: DemoMaster, job: string): Promise<Problem> {
  return await command(master, 'run', job).then(
    () => undefined,
    (error: unknown) => `run ${job} on ${master.letter}: ${String(error)}`,
  );
}

async function compareWhole({ world: { a, b }, signal }: Stage): Promise<string> {
  await until(() => caProblem(a, b), { limitMs: 10_000, signal });
  await until(() => keyFilesProblem(a, b), { limitMs: 10_000, signal });
  return `${(await signedBy(b)).length} certificates, authority, revocations, inventory and key files are the same`;
}
