import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { compareEpochs, formatEpoch, type Epoch } from '../../src/rules/epoch.ts';
import { isGate } from '../../src/rules/gate.ts';
import { readSealed } from '../../src/system/sign.ts';
import { pathsBelow } from '../helpers/pair.ts';
import { openTestCa } from '../stand-in/ca.ts';
import { check, inSeconds, untilLive, type CheckResult, type Stage } from './checks.ts';
import { certificatesProblem, readCertificate, signedBy, verdictOf, type Problem } from './compare-ca.ts';
import { groupsProblem } from './compare-classifier.ts';
import { rbacProblem } from './compare-rbac.ts';
import { consoleProblem } from './day.ts';
import { editFact, type DemoMaster } from './master.ts';
import { until } from './until.ts';

/** B is promoted and A demoted by nothing but edits of their facts. */
export async function playPromotion(stage: Stage): Promise<CheckResult[]> {
  return [
    await check(stage, 'promoted-by-fact', () => promote(stage)),
    await check(stage, 'old-active-refused', () => refuseOldActive(stage)),
    await check(stage, 'roles-turned-round', () => turnRound(stage)),
  ];
}

async function promote({ world, signal }: Stage): Promise<string> {
  const { a, b } = world;
  const before = await greetingOf(b, a);
  await editFact(b, { pe_failover_mode: 'active', pe_failover_passive_master: a.certname });
  const ms = await until(
    async () => {
      const now = await greetingOf(b, a);
      if (now.role !== 'active') return `B answers that it is ${now.role}`;
      const order = compareEpochs(now.epoch, before.epoch);
      return order === 'higher' ? undefined : `the epoch of B is ${formatEpoch(now.epoch)}`;
    },
    { limitMs: 30_000, signal },
  );
  await until(() => consoleProblem(b), { limitMs: 30_000, signal });
  const name = 'after-promotion.demo';
  await (await openTestCa(b.cadir)).sign(name);
  const verdict = await verdictOf(b, await readCertificate(b, name));
  if (verdict !== 'OK') throw new Error(`openssl says of a certificate that B signs: ${verdict}`);
  const epochs = `epoch ${before.epoch.number} became ${(await greetingOf(b, a)).epoch.number}`;
  return `B is active ${inSeconds(ms)} after the edit, ${epochs}; its console serves and its CA signs`;
}

/** A still believes that it is active: neither a push by hand with its key nor what its agent tries may change B. */
async function refuseOldActive({ world, signal }: Stage): Promise<string> {
  const { a, b, ca } = world;
  const before = await signedBy(b);
  const { epoch } = await ownGate(a);
  const digest = `sha256:${'0'.repeat(64)}`;
  const nonce = randomBytes(16).toString('hex');
  const request = `push sync-certs ${formatEpoch(epoch)} 999 ${digest} ${nonce}`;
  const tried = await ask(b, a, `${request} --server -rIe.LsfxCIvu --timeout=30 --delete --inplace . .`);
  if (tried.exitCode !== 77) throw new Error(`a push by hand ended with ${tried.exitCode}: ${tried.said}`);
  if (existsSync(`${pathsBelow(b.root).inbox}/sync-certs/ready/${formatEpoch(epoch)}-999`))
    throw new Error('a push by hand was published');
  const name = 'by-the-old-active.demo';
  await ca.sign(name);
  const refusal = await oldActiveSays(a, [epoch, (await greetingOf(b, a)).epoch], signal);
  await sleep(2_000, undefined, { signal });
  const added = (await signedBy(b)).filter((one) => !before.includes(one));
  if (added.length > 0) throw new Error(`B took over ${added.join(', ')}`);
  return `a push with its key ends with 77, ${name} did not reach B, and A says: ${refusal}`;
}

/** FAILURE, with both epochs, as an admin finds it in the log. */
async function oldActiveSays(a: DemoMaster, epochs: readonly Epoch[], signal: AbortSignal): Promise<string> {
  let found = '';
  await until(
    async () => {
      const lines = (await readFile(`${a.root}/agent.log`, 'utf8')).split('\n');
      const names = (line: string): boolean => epochs.every((epoch) => line.includes(formatEpoch(epoch)));
      found = lines.findLast((line) => line.includes('[FAILURE]') && names(line)) ?? '';
      return found === '' ? `A logs no FAILURE that names ${epochs.map(formatEpoch).join(' and ')}` : undefined;
    },
    { limitMs: 20_000, signal },
  );
  return found.slice(found.indexOf('[FAILURE]') + 10);
}

/** With the line of the new active as its key, the old one becomes the spare, without another adoption. */
async function turnRound(stage: Stage): Promise<string> {
  const { a, b } = stage.world;
  const peer = JSON.parse(await readFile(`${pathsBelow(a.root).state}/peer.json`, 'utf8')) as { line: string };
  await editFact(a, { pe_failover_mode: 'passive', pe_failover_key: peer.line });
  const name = 'from-the-new-active.demo';
  const authority = await openTestCa(b.cadir);
  const problem = (): Promise<Problem> => certificatesProblem(b, a, [name]);
  const act = (): Promise<unknown> => authority.sign(name);
  const ms = await untilLive(stage, { kind: 'CA', what: `B signed ${name}`, act, problem, limitMs: 60_000 });
  const rest = { limitMs: 60_000, signal: stage.signal };
  await until(async () => (await groupsProblem(b, a)) ?? (await rbacProblem(b, a)), rest);
  return `A is the spare of B, with its groups and RBAC; a certificate that B signed is on A after ${inSeconds(ms)}`;
}

interface Greeting {
  readonly role: string;
  readonly epoch: Epoch;
}

/** What the gate of `to` answers to the key of `from`, over its sshd. */
async function greetingOf(to: DemoMaster, from: DemoMaster): Promise<Greeting> {
  const { exitCode, said } = await ask(to, from, `hello ${randomBytes(16).toString('hex')}`);
  if (exitCode !== 0) throw new Error(`hello ended with ${exitCode}: ${said}`);
  const answer = JSON.parse(said) as { readonly gate: string };
  return readGate(answer.gate);
}

const ownGate = async (master: DemoMaster): Promise<Greeting> =>
  readGate(await readFile(pathsBelow(master.root).gate, 'utf8'));

function readGate(line: string): Greeting {
  const gate = readSealed(line.trim(), 'gate');
  if (!isGate(gate)) throw new Error('no gate');
  return gate;
}

/** One request over ssh with the transfer key, as anybody could type it who has that key. */
function ask(to: DemoMaster, from: DemoMaster, words: string): Promise<{ exitCode: number; said: string }> {
  const { keys } = pathsBelow(from.root);
  const options = ['BatchMode=yes', `UserKnownHostsFile=${keys.knownHosts}`, `HostKeyAlias=${to.certname}`];
  const args = [
    ...['-F', '/dev/null', '-i', keys.transfer, '-p', String(to.sshPort)],
    ...options.flatMap((option) => ['-o', option]),
    `${userInfo().username}@127.0.0.1`,
    '--',
    words,
  ];
  return new Promise((resolve) => {
    const child = execFile('ssh', args, { timeout: 15_000 }, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ exitCode, said: `${stdout}${stderr}`.trim() });
    });
    child.stdin?.end();
  });
}
