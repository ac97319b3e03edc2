import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createAgentPair, type AgentMaster } from '../helpers/agents.ts';
import { pathsBelow } from '../helpers/pair.ts';
import { createTestCa, type TestCa } from '../stand-in/ca.ts';
import { summary, type Measured } from './measured.ts';

const certificates = 1_000;
const samples = 20;
const burst = 500;
const completed = /sync_certs\.sh ---> \[SUCCESS\] Completed sync/;

/** Real agents, sshd and rsync on loopback; the CA writes serial, inventory and certificate as puppetserver does. */
export async function benchCertificates(): Promise<Measured[]> {
  await using pair = await createAgentPair();
  const { a, b } = pair;
  const ca = await createTestCa(a.cadir, { name: 'bench' });
  await ca.signMany(names('first', certificates));
  const fingerprint = /fingerprint ([0-9a-f]{64})/.exec(a.command('status').output)?.[1] ?? '';
  b.command('adopt', fingerprint);
  b.start();
  a.start();
  await a.says(completed, 60_000);
  await untilLive(pair, 'first', certificates);
  const single = await signToLive(pair, ca);
  const many = await burstToLive(pair, ca);
  return [...single, ...many, memory('agent_active_rss', a), memory('agent_passive_rss', b)];
}

type Pair = { readonly a: AgentMaster; readonly b: AgentMaster };
const read = ({ cadir }: AgentMaster, path: string): string => readFileSync(join(cadir, path), 'utf8');

const names = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `${prefix}${n}.bench`);

async function signToLive(pair: Pair, ca: TestCa): Promise<Measured[]> {
  const { a } = pair;
  const [live, receipt]: [number[], number[]] = [[], []];
  for (let n = 0; n < samples + 3; n += 1) {
    const begun = performance.now();
    await ca.sign(`single${n}.bench`);
    await untilLive(pair, `single${n}.bench`);
    const isLive = performance.now();
    await a.says(completed);
    if (n >= 3) live.push(isLive - begun); // the first three warm up
    if (n >= 3) receipt.push(performance.now() - begun);
    await sleep(300);
  }
  return [summary('sign_to_live', 'ms', live, 200), summary('sign_to_receipt', 'ms', receipt, 200)];
}

async function burstToLive(pair: Pair, ca: TestCa): Promise<Measured[]> {
  const { a } = pair;
  const before = sequence(a);
  await ca.signMany(names('burst', burst));
  const written = performance.now();
  await untilLive(pair, 'burst', burst);
  const seconds = (performance.now() - written) / 1000;
  await sleep(1_000);
  return [
    { key: 'burst_500', unit: 's', ours: seconds, target: 2, met: seconds <= 2 },
    { key: 'burst_500_rsyncs', unit: '', ours: sequence(a) - before, target: 10, met: sequence(a) - before <= 10 },
  ];
}

const sequence = ({ root }: AgentMaster): number =>
  (JSON.parse(readFileSync(join(pathsBelow(root).streams, 'sync-certs.json'), 'utf8')) as { sequence: number })
    .sequence;

/** One certificate, or the numbered ones of a series, byte for byte where the spare's CA has them. */
async function untilLive(pair: Pair, name: string, count?: number): Promise<void> {
  const end = performance.now() + 60_000;
  const { a, b } = pair;
  for (const one of count === undefined ? [name] : names(name, count)) {
    const path = `signed/${one}.pem`;
    while (!existsSync(join(b.cadir, path)) || read(b, path) !== read(a, path)) {
      if (performance.now() > end)
        throw new Error(`${one} did not reach the spare within 60 s:\n${b.log.slice(-5).join('\n')}`);
      await sleep(1);
    }
  }
}

function memory(key: string, { pid }: AgentMaster): Measured {
  const kib = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid()}/status`, 'utf8'))?.[1]);
  return { key, unit: 'MB', ours: kib / 1024, target: 120, met: kib / 1024 <= 120 };
}
