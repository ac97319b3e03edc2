import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Delivered, Delivery, Goods } from '../../src/drops/delivery.ts';
import type { Hold, Holds } from '../../src/drops/holds.ts';
import type { Intake, Verdict, VerifiedDrop } from '../../src/drops/intake.ts';
import type { PassContext } from '../../src/jobs/job.ts';
import { canonicalGroups, digestGroups, type Group } from '../../src/rules/groups.ts';
import type { Receipt } from '../../src/rules/receipt.ts';
import { systemClock } from '../../src/system/clock.ts';

export const epoch = { number: 3, id: '00c0ffee00c0ffee' };

/** A context that logs into an array. */
export function passContext(given: Partial<PassContext> = {}): PassContext & { lines: string[] } {
  const lines: string[] = [];
  const log = {
    success: (line: string) => void lines.push(`SUCCESS ${line}`),
    warning: (line: string) => void lines.push(`WARNING ${line}`),
    failure: (line: string) => void lines.push(`FAILURE ${line}`),
  };
  const signal = new AbortController().signal;
  return { signal, epoch, log, clock: systemClock, fence: async () => undefined, cause: 'by hand', ...given, lines };
}

export const temporaryDirectory = (): Promise<string> => mkdtemp(join(tmpdir(), 'pe-failover-nc-'));

/** A verified drop with groups, as the intake hands it on. */
export async function makeDrop(root: string, groups: readonly Group[] | string, sequence = 1): Promise<VerifiedDrop> {
  const text = typeof groups === 'string' ? groups : canonicalGroups(groups);
  const directory = join(root, `taken-${sequence}`);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'groups.json'), text);
  return {
    directory,
    manifest: {
      format: 1,
      stream: 'nc-dump',
      epoch,
      sequence,
      source: 'mastera.example.com',
      target: 'masterb.example.com',
      capturedAt: '2026-11-01T00:00:00.000Z',
      platform: 'pe',
      build: '2025.1',
      kind: 'whole',
      digest: typeof groups === 'string' ? `sha256:${'0'.repeat(64)}` : digestGroups(groups),
      files: [
        { path: 'groups.json', size: text.length, sha256: '0'.repeat(64), mode: 0o600, owner: 'root', group: 'root' },
      ],
      deleted: [],
      needs: [],
      detail: {},
    },
  };
}

export interface FakeIntake extends Omit<Intake, 'reopen'> {
  readonly waiting: VerifiedDrop[];
  readonly verdicts: Verdict[];
}

/** Hands out what waits, until it is settled. */
export function fakeIntake(...waiting: VerifiedDrop[]): FakeIntake {
  const verdicts: Verdict[] = [];
  return {
    waiting,
    verdicts,
    next: async () => waiting.at(-1),
    report: async () => undefined,
    settle: async (drop, verdict) => {
      waiting.splice(waiting.indexOf(drop), 1);
      verdicts.push(verdict);
    },
  };
}

export interface FakeHolds extends Pick<Holds, 'raise' | 'isReleased' | 'closeOthers'> {
  readonly raised: Hold[];
  readonly released: Set<string>;
}

export function fakeHolds(): FakeHolds {
  const raised: Hold[] = [];
  const released = new Set<string>();
  return {
    raised,
    released,
    raise: async (hold) => {
      raised.push(hold);
      return hold.rule;
    },
    isReleased: async (id) => released.has(id),
    closeOthers: async (_stream, standing) => {
      for (const id of released) if (!standing.has(id)) released.delete(id);
    },
  };
}

/** Packs what is delivered, unless its digest was delivered before. */
export function fakeDelivery(
  answer: Partial<Receipt> | undefined,
): Omit<Delivery, 'manifest' | 'sizes'> & { goods: Goods[]; packed: string[] } {
  const goods: Goods[] = [];
  const packed: string[] = [];
  const deliver = async (given: Goods): Promise<Delivered> => {
    if (answer !== undefined && goods.at(-1)?.digest === given.digest)
      return { kind: 'confirmed', receipt: answer as Receipt };
    goods.push(given);
    const directory = await temporaryDirectory();
    packed.push(JSON.stringify(await given.pack(directory, new AbortController().signal)));
    await rm(directory, { recursive: true });
    return { kind: 'pushed', sequence: goods.length, receipt: answer as Receipt | undefined };
  };
  return {
    goods,
    packed,
    acknowledged: async () => undefined,
    lastPush: async () => undefined,
    needsWhole: async () => false,
    unites: async () => false,
    catchUp: async () => [],
    adoptionAsked: async () => undefined,
    deliver,
  };
}
