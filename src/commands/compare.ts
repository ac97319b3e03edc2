import type { AgentView } from '../agent/agent.ts';
import { demandRoot, openHost, openMaster, type Master } from '../app.ts';
import { auditHere } from '../audit-work.ts';
import { Failure, toFailure } from '../errors.ts';
import { openOther, type OtherMaster } from '../order-work.ts';
import { reportOf, settingsOf } from '../role-work.ts';
import { parseAudit, type Audit } from '../rules/audit.ts';
import { compareMastersWith, lookAtOne, type Comparison } from '../rules/compare.ts';
import type { ClockDifference } from '../rules/compare-host.ts';
import { comparisonLines } from '../rules/compare-lines.ts';
import { components, partsOf, type Component } from '../rules/differences.ts';
import type { HostPair } from '../rules/host-map.ts';
import { askControl } from '../system/control.ts';
import { newNonce } from '../system/keyed-digest.ts';
import { whoTypes } from '../system/operator.ts';

export interface CompareOptions {
  readonly json: boolean;
  readonly component: string | undefined;
  /** How long the other master may take. */
  readonly timeoutMs: number;
}

/** Audits both masters and says what differs; the exit code is as Nagios counts. */
export async function compare(root: string, options: CompareOptions, signal: AbortSignal): Promise<number> {
  demandRoot(root);
  const only = componentNamed(options.component);
  if (!(options.timeoutMs > 0)) throw new Failure('usage', 'not a number of seconds', { where: '--timeout' });
  const master = await openMaster(await openHost(root), { stderr: false, besideAgent: true });
  await using disposing = new AsyncDisposableStack();
  disposing.defer(() => master.log.close());
  const other = await openOther(master, await whoTypes());
  disposing.use(other);
  const comparison = await compareBoth({ master, other, only, timeoutMs: options.timeoutMs, signal });
  console.log(options.json ? JSON.stringify(comparison, undefined, 2) : comparisonLines(comparison).join('\n'));
  return comparison.code;
}

function componentNamed(name: string | undefined): Component | undefined {
  const found = components.find((one) => one === name);
  if (name !== undefined && found === undefined)
    throw new Failure('usage', 'there is no such component', {
      where: name,
      hint: `Components: ${components.join(', ')}`,
    });
  return found;
}

interface Asking {
  readonly master: Master;
  readonly other: OtherMaster;
  readonly only: Component | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

async function compareBoth(asking: Asking): Promise<Comparison> {
  const { master, other, only, signal } = asking;
  const view = await askControl(master.paths.control, 'status', {}, { signal }).catch(() => undefined);
  const report = await reportOf(master, view as AgentView | undefined);
  const order = { nonce: newNonce(), signal, parts: partsOf(only) };
  // A little more than an order has: what that says is more exact.
  const limit = AbortSignal.any([signal, AbortSignal.timeout(asking.timeoutMs + graceMs)]);
  const greeted = await greet(asking, limit).catch(orFailure(signal, limit));
  const now = (): Date => master.clock.now();
  if (greeted instanceof Failure) {
    const own = await auditHere(master, report, { ...order, exchange: undefined });
    return lookAtOne({ own, now: now(), only }, other.certname, greeted.message);
  }
  // Names are exchanged in the active's tree, by what the configuration of the spare says.
  const theirTree = greeted.role === 'active' && report.role !== 'active';
  const args = { ...order, exchange: theirTree ? pairsOf(other.certname, master.certname, ownMap(master)) : undefined };
  const there = askOther(asking, args, limit).catch(orFailure(signal, limit));
  const exchange = async (): Promise<readonly HostPair[]> =>
    pairsOf(master.certname, other.certname, mapOf(await there) ?? ownMap(master));
  const own = await auditHere(master, report, { ...order, exchange: theirTree ? undefined : exchange });
  const found = await there;
  const question = { own, now: now(), only };
  if (found instanceof Failure) return lookAtOne(question, other.certname, found.message);
  return compareMastersWith(question, { audit: found, clock: greeted.clock });
}

const graceMs = 7_000;

const orFailure =
  (signal: AbortSignal, limit: AbortSignal) =>
  (error: unknown): Failure => {
    signal.throwIfAborted();
    return toFailure(limit.aborted ? limit.reason : error);
  };

interface Greeted {
  readonly role: string;
  readonly clock: ClockDifference;
}

/** Its clock was read some time between the asking and the answer. The second time: without the login. */
async function greet({ master, other }: Asking, signal: AbortSignal): Promise<Greeted> {
  await other.greet(signal);
  const [began, since] = [master.clock.now().getTime(), master.clock.monotonic()];
  const greeting = await other.greet(signal);
  const took = master.clock.monotonic() - since;
  const aheadMs = Date.parse(greeting.at) - (began + took / 2);
  return { role: greeting.gate.role, clock: { aheadMs: Number.isNaN(aheadMs) ? 0 : aheadMs, uncertainMs: took / 2 } };
}

interface Args {
  readonly nonce: string;
  readonly parts: readonly string[] | undefined;
  readonly exchange: readonly HostPair[] | undefined;
}

async function askOther(
  { other, timeoutMs }: Asking,
  { nonce, parts, exchange }: Args,
  signal: AbortSignal,
): Promise<Audit> {
  const args = { nonce, ...(parts === undefined ? {} : { parts }), ...(exchange === undefined ? {} : { exchange }) };
  const audit = parseAudit(await other.give('audit', args, { signal, timeoutMs }));
  if (audit.certname === other.certname) return audit;
  throw new Failure('bad-data', 'audit refused', { why: `it is of ${audit.certname}, not of ${other.certname}` });
}

const ownMap = (master: Master): readonly HostPair[] => settingsOf(master).hostMap;

const mapOf = (found: Audit | Failure): readonly HostPair[] | undefined =>
  found instanceof Failure || !('found' in found.classifier) ? undefined : found.classifier.found.hostMap;

const pairsOf = (active: string, passive: string, further: readonly HostPair[]): HostPair[] => [
  { active, passive },
  ...further,
];
