import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arrived, type Receipt } from '../../src/rules/receipt.ts';
import { readSealed } from '../../src/system/sign.ts';
import { eventually } from './eventually.ts';
import { isLong } from './extent.ts';
import { startLightPair, type LightPair } from './light-pair.ts';
import { interrupt, signalAll, whenSomethingIsIn } from './moment.ts';
import { secrets, untilAgreed, type LabMaster } from './pair.ts';

let pair: LightPair;
beforeAll(async () => {
  pair = await startLightPair('woken');
  await untilAgreed(pair);
}, 300_000);
afterAll(() => pair[Symbol.asyncDispose]());

const staging = '/var/lib/pe_failover/inbox/sync-files/staging';
const secretOf = (master: LabMaster, name: string): string => join(master.path(secrets), name);
const receiptsOf = (spare: LabMaster): Receipt[] =>
  readFileSync(spare.path('/var/lib/pe_failover/state/receipts/sync-files.jsonl'), 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => readSealed(line, 'receipt') as Receipt);

/** Of the spare's sshd: what runs as the transfer user, that is its session, the gate and rsync. */
async function sessionOf(spare: LabMaster): Promise<readonly number[]> {
  const uid = await spare.sh('id -u pe-transfer');
  return spare.pidsOf('ssh.service').filter((pid) => statusOf(pid).includes(`\nUid:\t${uid}\t`));
}
const statusOf = (pid: number): string =>
  existsSync(`/proc/${pid}/status`) ? readFileSync(`/proc/${pid}/status`, 'utf8') : '';

const isSame = (name: string): boolean =>
  readFileSync(secretOf(pair.b, name)).equals(readFileSync(secretOf(pair.a, name)));
/** Files are placed one after the other. */
const untilWhole = (text: string, withinMs: number): Promise<unknown> =>
  eventually(
    `"${text}" is live, and the large file with it`,
    () => readFileSync(secretOf(pair.b, 'eyaml'), 'utf8') === text && isSame('large'),
    { withinMs, everyMs: 500 },
  );

const megabytes = (count: number): Buffer => Buffer.alloc(count * 1024 * 1024, Math.random().toString(36));

describe('a session of the spare that wakes up after its push was made anew', () => {
  it('and had stood still in the middle of it damages nothing, and publishes nothing', async () => {
    const { a, b } = pair;
    let old: readonly number[] = [];
    const change = async (): Promise<void> => {
      await writeFile(secretOf(a, 'large'), megabytes(300));
      await writeFile(secretOf(a, 'eyaml'), 'of the second try');
    };
    const hold = () => {
      b.freeze();
      return () => b.thaw();
    };
    await interrupt(whenSomethingIsIn(b, staging), change, async () => {
      b.thaw();
      old = await sessionOf(b);
      signalAll(old, 'SIGSTOP');
    }, hold); // prettier-ignore
    expect(old.length).toBeGreaterThan(1);
    expect(existsSync(b.path(staging)), 'the push had not ended').toBe(true);
    await untilWhole('of the second try', 240_000);
    await untilAgreed(pair);
    const before = receiptsOf(b);
    signalAll(old, 'SIGCONT');
    await eventually('the old session has ended', () => old.every((pid) => statusOf(pid) === ''), {
      withinMs: 60_000,
    });
    expect(receiptsOf(b).filter(({ state }) => arrived(state))).toEqual(before.filter(({ state }) => arrived(state)));
    expect(isSame('large')).toBe(true);
    await writeFile(secretOf(a, 'eyaml'), 'and the next');
    await eventually('the next', () => readFileSync(secretOf(b, 'eyaml'), 'utf8') === 'and the next', {
      withinMs: 60_000,
    });
    await untilAgreed(pair);
    expect(existsSync(b.path(staging))).toBe(false);
  }, 600_000);

  // Minutes of waiting.
  const itWhenLong = (title: string, run: () => Promise<void>) => isLong && it(title, run, 600_000);
  itWhenLong('and had been cut off for longer than its deadlines does not, either', async () => {
    const { a, b, lab } = pair;
    a.syslog.forget();
    const change = async (): Promise<void> => {
      await writeFile(secretOf(a, 'large'), megabytes(300));
      await writeFile(secretOf(a, 'eyaml'), 'after the cut');
    };
    let old: readonly number[] = [];
    const hold = () => {
      b.freeze();
      return () => b.thaw();
    };
    await interrupt(whenSomethingIsIn(b, staging), change, async () => {
      await lab.network.apply({ kind: 'cut', from: 'mastera', to: 'masterb' });
    }, hold); // prettier-ignore
    old = await sessionOf(b);
    await a.syslog.says(/sync_files\.sh ---> \[FAILURE\]/, 120_000);
    await lab.network.heal();
    await untilWhole('after the cut', 120_000);
    await untilAgreed(pair);
    await eventually('the old session has ended', () => old.every((pid) => statusOf(pid) === ''), {
      withinMs: 120_000,
    });
    expect(existsSync(b.path(staging))).toBe(false);
  });
});
