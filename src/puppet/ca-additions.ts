import { join } from 'node:path';
import { certnameOf } from '../rules/ca-paths.ts';
import type { CaAction, CaPlan } from '../rules/ca-plan.ts';
import { lacking, type IssuerDecision } from '../rules/crl.ts';
import { missingLines, parseInventoryLine, wholeLines } from '../rules/inventory.ts';
import type { MadeHere } from '../rules/made-here.ts';
import { formatSerial, leapOver, parseSerial } from '../rules/serial.ts';
import { readAccounts } from '../system/accounts.ts';
import { readCertificates, type Certificate, type Crl } from '../system/certificates.ts';
import type { Exec } from '../system/exec.ts';
import { ensureDirectory, readIfThere, sha256File, writeFileAtomic } from '../system/files.ts';
import type { Step } from '../system/journal.ts';
import { applySteps } from './ca-apply.ts';
import { contentProblem, liveLists, type LiveCa } from './ca-live.ts';

export interface AdditionTools {
  readonly live: LiveCa;
  readonly exec: Exec;
  /** A directory of our own: certificates before they are live. */
  readonly work: string;
  /** Gets the spare's certificates of names that this master signed too. */
  readonly archive: string;
  readonly serialGap?: bigint;
}

/** What this master's CA lacks of what the other made, and what may not come in. */
export interface Additions {
  /** Serial, inventory, certificates, CRL: nothing that is live is replaced, but for the CRL by a union and what is revoked. */
  readonly actions: readonly CaAction[];
  /** Names that both signed: this master's own stays, the other's is in the archive. */
  readonly bothSigned: readonly string[];
  readonly bad: ReadonlyMap<string, string>;
  /** How many certificates come in, and how many revocations. */
  readonly certificates: number;
  readonly revocations: number;
  /** Revocations that cannot be united with ours without the CA's key. */
  readonly waiting: number;
  readonly steps: readonly Step[];
}

/**
 * Compares what the other master made with what is live here, where puppetserver runs and signs. INVARIANT: a certificate that is
 * revoked here does not come back, whatever the other one says: it may have been cleaned since.
 */
export async function additionsOf(tools: AdditionTools, made: MadeHere, signal: AbortSignal): Promise<Additions> {
  const { live } = tools;
  const authorities = await live.authorities();
  const found = await newCertificates(tools, made, authorities);
  const inventory = await live.text('inventory.txt');
  const lines = missingLines(inventory, made.inventory);
  const decide = await unionRule(live, made, authorities);
  const crls = decide(await liveLists(live));
  const serial = leapOver({
    live: parseSerial(await live.text('serial')),
    issued: serialsOf(inventory, lines),
    ...(tools.serialGap === undefined ? {} : { gap: tools.serialGap }),
  });
  const actions: CaAction[] = [
    ...(serial === undefined ? [] : [{ kind: 'serial' as const, value: serial }]),
    ...(lines.length === 0 ? [] : [{ kind: 'inventory' as const, lines }]),
    ...found.placed,
    ...(crls.some(({ use }) => use === 'union') ? [{ kind: 'crl' as const, issuers: crls }] : []),
  ];
  const counted = (kept: IssuerDecision['use']): number =>
    crls.filter(({ use }) => use === kept).reduce((sum, { waiting }) => sum + waiting.length, 0);
  return {
    actions,
    ...{ bothSigned: found.bothSigned, bad: found.bad, certificates: found.placed.length },
    ...{ revocations: counted('union'), waiting: counted('live') },
    steps: await stepsFor(tools, { actions, bothSigned: [], kept: [] }, { made, decide, authorities }, signal),
  };
}

interface Placement {
  readonly kind: 'certificate';
  readonly path: string;
  readonly sha256: string;
}

interface Found {
  readonly placed: readonly Placement[];
  readonly bothSigned: readonly string[];
  readonly bad: ReadonlyMap<string, string>;
}

async function newCertificates(
  tools: AdditionTools,
  made: MadeHere,
  authorities: readonly Certificate[],
): Promise<Found> {
  const { live, work } = tools;
  const revoked = new Set((await liveLists(live)).flatMap((list) => [...list.revoked.keys()]));
  const revokedByEither = new Set([...revoked, ...made.revocations.map(({ serial }) => BigInt(`0x${serial}`))]);
  const placed: Placement[] = [];
  const bothSigned: string[] = [];
  const bad = new Map<string, string>();
  await ensureDirectory(join(work, 'signed'), { mode: 0o700 });
  for (const { certname, pem } of made.certificates) {
    const path = `signed/${certname}.pem`;
    await writeFileAtomic(join(work, path), pem, { mode: 0o600 });
    const problem = await contentProblem(path, join(work, path), authorities, live.readCrls);
    const serial = problem === undefined ? readCertificates(pem, path)[0]?.serial : undefined;
    if (problem !== undefined) bad.set(path, problem);
    if (serial === undefined || revoked.has(serial)) continue;
    const sha256 = await sha256File(join(work, path));
    const present = (await live.hashes([path], () => undefined)).get(path);
    if (present === sha256) continue;
    const isFree = present === undefined || (await giveWay(tools, path, revokedByEither));
    if (isFree) placed.push({ kind: 'certificate', path, sha256 });
    else bothSigned.push(await keep(tools, path, pem, serial));
  }
  return { placed, bothSigned, bad };
}

/** Is what is live here revoked? Then it goes into the archive, and what the other master has of that name is the valid one. */
async function giveWay(tools: AdditionTools, path: string, revoked: ReadonlySet<bigint>): Promise<boolean> {
  const pem = (await readIfThere(tools.live.path(path))) ?? '';
  const problem = await contentProblem(
    path,
    tools.live.path(path),
    await tools.live.authorities(),
    tools.live.readCrls,
  );
  const serial = problem === undefined ? readCertificates(pem, path)[0]?.serial : undefined;
  if (serial === undefined || !revoked.has(serial)) return false;
  await keep(tools, path, pem, serial);
  return true;
}

async function keep({ archive }: AdditionTools, path: string, pem: string, serial: bigint): Promise<string> {
  await ensureDirectory(archive, { mode: 0o700 });
  const name = `${formatSerial(serial)}-${certnameOf(path)}.pem`.slice(-255);
  await writeFileAtomic(join(archive, name), pem, { mode: 0o600 });
  return path;
}

type Decide = (live: readonly Crl[]) => readonly IssuerDecision[];

/** `waiting` of a decision: what the other revoked and this master has not. */
async function unionRule(live: LiveCa, made: MadeHere, authorities: readonly Certificate[]): Promise<Decide> {
  const signable = new Set<string>();
  for (const authority of authorities) if (await live.hasKeyOf(authority)) signable.add(authority.subject);
  const theirs = listsOf(made);
  return (lists) =>
    lists.map((list) => {
      const waiting = lacking(
        theirs.find(({ issuer }) => issuer === list.issuer),
        list,
        () => false,
      );
      const use = waiting.length > 0 && signable.has(list.issuer) ? 'union' : 'live';
      return { issuer: list.issuer, use, number: (list.number ?? 0n) + 1n, lost: [], madeHere: [], waiting };
    });
}

/** Its revocations as lists that nobody signed: they are only ever united with ours. */
function listsOf({ revocations }: MadeHere): Crl[] {
  const issuers = [...new Set(revocations.map(({ issuer }) => issuer))];
  return issuers.map((issuer) => {
    const own = revocations.filter((one) => one.issuer === issuer);
    const revoked = new Map(own.map(({ serial, date }) => [BigInt(`0x${serial}`), date]));
    const signed = { bytes: new Uint8Array(), algorithm: '', signature: new Uint8Array() };
    return { issuer, number: undefined, thisUpdate: '', revoked, pem: '', signed };
  });
}

const serialsOf = (inventory: string, lines: readonly string[]): bigint[] =>
  [...wholeLines(inventory), ...lines].flatMap((line) => parseInventoryLine(line)?.serial ?? []);

interface Around {
  readonly made: MadeHere;
  readonly decide: Decide;
  readonly authorities: readonly Certificate[];
}

async function stepsFor(tools: AdditionTools, plan: CaPlan, around: Around, signal: AbortSignal): Promise<Step[]> {
  const { live, exec, work } = tools;
  return applySteps({
    ...{ live, plan, exec, signal, authorities: around.authorities },
    source: (path) => join(work, path),
    described: () => ({ mode: 0o644, owner: '', group: '' }), // as puppetserver writes them; owned like the directory
    accounts: await readAccounts(),
    archive: join(work, 'replaced'),
    crls: { incoming: listsOf(around.made), accepted: [], forgiven: new Set() },
    decideCrls: around.decide,
    decideInfra: () => [],
  });
}
