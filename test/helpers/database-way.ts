// Small stand-ins for the way between the two masters: the goods of the active lie in a directory, verified.
import { mkdir, mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import type { Goods, LastPush } from '../../src/drops/delivery.ts';
import type { DbDumpOptions } from '../../src/jobs/db-dump.ts';
import type { Intake, Verdict, VerifiedDrop } from '../../src/drops/intake.ts';
import type { PassContext } from '../../src/jobs/job.ts';
import type { Epoch } from '../../src/rules/epoch.ts';
import type { Manifest } from '../../src/rules/manifest.ts';
import type { DropReference, Receipt } from '../../src/rules/receipt.ts';
import { systemClock, type Clock } from '../../src/system/clock.ts';
import { host, quiet } from './database-spare.ts';

export const epoch = { number: 1, id: '00c0ffee00c0ffee' };

export const passContext = (cause: string, clock: Clock = systemClock): PassContext => ({
  signal: AbortSignal.timeout(120_000),
  epoch,
  log: quiet,
  clock,
  fence: async () => undefined,
  cause,
});

export interface Way {
  readonly delivery: DbDumpOptions['delivery'];
  readonly intake: Omit<Intake, 'reopen'>;
  readonly pushed: Goods[];
  readonly confirmed: string[];
  readonly verdicts: (Verdict & DropReference)[];
}

/** Of whom the drops are: may be changed between two of them. */
export interface Origin {
  epoch: Epoch;
  build: string;
}

export async function createWay(parent: string, origin: Readonly<Origin> = { epoch, build: host.build }): Promise<Way> {
  const home = await mkdtemp(join(parent, 'way-'));
  const pending = new Map<string, VerifiedDrop>();
  const receipts = new Map<string, Receipt>();
  const lastPush = new Map<string, LastPush>();
  const late = new Map<string, Receipt[]>();
  const pushed: Goods[] = [];
  const confirmed: string[] = [];
  const verdicts: Way['verdicts'] = [];
  const arrived = new Set(['staged', 'applied', 'unchanged', 'held', 'failed']);
  const note = (drop: DropReference, verdict: Verdict): void => {
    verdicts.push({ ...drop, ...verdict });
    const receipt = {
      ...drop,
      ...verdict,
      format: 1,
      n: verdicts.length,
      at: new Date().toISOString(),
      spare: 'spare',
    } as const;
    if (arrived.has(verdict.state)) receipts.set(drop.stream, receipt);
    late.set(drop.stream, [...(late.get(drop.stream) ?? []), receipt]);
    const push = lastPush.get(drop.stream);
    if (push?.sequence === drop.sequence) lastPush.set(drop.stream, { ...push, word: receipt });
  };
  const delivery: DbDumpOptions['delivery'] = {
    acknowledged: async (stream) => receipts.get(stream),
    catchUp: async (stream) => late.get(stream)?.splice(0) ?? [],
    lastPush: async (stream) => lastPush.get(stream),
    sizes: () => Promise.resolve({}),
    needsWhole: async () => false,
    deliver: async (goods, { signal }) => {
      const agreed = receipts.get(goods.stream);
      if (agreed?.digest === goods.digest && goods.evenIfUnchanged !== true) {
        confirmed.push(goods.stream);
        return { kind: 'confirmed', receipt: agreed };
      }
      pushed.push(goods);
      const sequence = pushed.length;
      const { digest } = goods;
      lastPush.set(goods.stream, { sequence, digest, publishedAt: new Date().toISOString(), word: undefined });
      const directory = join(home, String(sequence));
      await mkdir(directory, { mode: 0o700 });
      const files = await goods.pack(directory, signal);
      pending.set(goods.stream, { directory, manifest: manifestOf(goods, sequence, files, origin) });
      return { kind: 'pushed', sequence, receipt: undefined };
    },
  };
  const intake: Omit<Intake, 'reopen'> = {
    next: async (stream) => pending.get(stream),
    report: async (drop, verdict) => note(drop, verdict),
    settle: async (drop, verdict) => {
      pending.delete(drop.manifest.stream);
      note(drop.manifest, verdict);
    },
  };
  return { delivery, intake, pushed, confirmed, verdicts };
}

const manifestOf = (
  goods: Goods,
  sequence: number,
  files: Manifest['files'],
  { epoch, build }: Readonly<Origin>,
): Manifest => ({
  format: 1,
  stream: goods.stream,
  epoch,
  sequence,
  source: 'active',
  target: 'spare',
  capturedAt: new Date().toISOString(),
  platform: 'pe',
  build,
  kind: goods.kind,
  digest: goods.digest,
  files,
  deleted: [],
  needs: goods.needs ?? [],
  detail: JSON.parse(JSON.stringify(goods.detail ?? {})) as Record<string, unknown>,
});
