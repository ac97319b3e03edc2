import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deliveryPoints } from '../../src/drops/delivery.ts';
import { applySteps } from '../../src/jobs/update-passive-files/apply.ts';
import type { FilesHome } from '../../src/jobs/update-passive-files/place.ts';
import { pushPoints } from '../../src/receiver/gate.ts';
import { formatPairing } from '../../src/rules/pairing.ts';
import type { Manifest } from '../../src/rules/manifest.ts';
import { readAccounts } from '../../src/system/accounts.ts';
import { temporaryPattern } from '../../src/system/files.ts';
import { deathsAround, describeDeath, runProgram, type DeathPoint } from '../helpers/deaths.ts';
import { syncFilesOf, updatePassiveFilesOf } from '../helpers/files-pair.ts';
import { createTestSender, createTestSpare, startPair, type TestMaster, type TestPair } from '../helpers/pair.ts';
import type { FilesOrder } from './programs/files-side.ts';

let pair: TestPair;
let round = 0;

beforeAll(async () => {
  pair = await startPair({ program: join(import.meta.dirname, 'programs/gate.sh') });
  change();
  await bothSides();
});
afterAll(() => pair[Symbol.asyncDispose]());

const secrets = (master: TestMaster): string => join(master.root, 'etc/puppetlabs/secrets');

/** Edits one file, adds one, removes one. */
function change(): void {
  round += 1;
  mkdirSync(secrets(pair.a), { recursive: true });
  writeFileSync(join(secrets(pair.a), 'edited'), `round ${round}`);
  writeFileSync(join(secrets(pair.a), `added-${round}`), 'new', { mode: 0o600 });
  rmSync(join(secrets(pair.a), `added-${round - 2}`), { force: true });
}

function order(side: 'send' | 'apply', death?: DeathPoint): FilesOrder {
  const master = side === 'send' ? pair.a : pair.b;
  const { root, certname } = master;
  return {
    side,
    root,
    certname,
    port: pair.sshd.port,
    epoch: pair.epoch,
    source: formatPairing(pair.a.pairing),
    ...(death === undefined ? {} : { death }),
  };
}

const side = (name: 'send' | 'apply', death?: DeathPoint) => runProgram('files-side.ts', order(name, death));

/** A whole pass of a fresh sender, in this process: only what is to die needs one of its own. */
async function send(): Promise<void> {
  const sender = createTestSender(pair.a, pair.sshd.port, pair.epoch);
  try {
    await syncFilesOf(pair.a, sender.delivery).run(pair.context(pair.a));
  } finally {
    await sender.close();
  }
}

async function applyOnce(): Promise<void> {
  const spare = createTestSpare(pair.b, pair.a.pairing);
  await updatePassiveFilesOf(pair.b, spare).run(pair.context(pair.b));
}

/** Sends, and applies as soon as something is published; `applying` may die and be run again. */
async function bothSides(applying: () => Promise<void> = applyOnce): Promise<void> {
  let sending = true;
  const sent = send().finally(() => (sending = false));
  sent.catch(() => undefined); // awaited below
  while (sending && readdirSync(join(pair.b.paths.inbox, 'sync-files/ready')).length === 0)
    await new Promise((resolve) => setTimeout(resolve, 10));
  await applying();
  await sent;
}

const tree = (master: TestMaster): Record<string, string> =>
  Object.fromEntries(
    readdirSync(secrets(master)).map((name) => [name, readFileSync(join(secrets(master), name), 'utf8')]),
  );

const processesNaming = (text: string): string[] =>
  readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && commandLine(pid).includes(text));

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // ended meanwhile
  }
}

function nothingIsLeft(): void {
  const { a, b } = pair;
  const inbox = join(b.paths.inbox, 'sync-files');
  expect(existsSync(join(inbox, 'staging'))).toBe(false);
  expect(readdirSync(join(inbox, 'ready'))).toEqual([]);
  expect(readdirSync(join(b.paths.taken, 'sync-files'))).toEqual([]);
  expect(existsSync(join(b.paths.journal, 'update-passive-files.jsonl'))).toBe(false);
  expect(readdirSync(join(a.paths.outbox, 'sync-files'))).toHaveLength(1);
  for (const directory of [secrets(b), b.paths.state, b.paths.receipts, a.paths.streams]) {
    expect(readdirSync(directory).filter((name) => temporaryPattern.test(name))).toEqual([]);
  }
}

describe('the active, killed', () => {
  test.each(
    deliveryPoints
      .map((point): DeathPoint => ({ kind: 'point', point }))
      .map((death) => [describeDeath(death), death] as const),
  )('%s, sends the same again: nothing is lost, nothing is left', async (_, death) => {
    change();
    const killed = await side('send', death);
    expect(killed.signal, killed.output).toBe('SIGKILL');
    await bothSides();
    expect(tree(pair.b)).toEqual(tree(pair.a));
    nothingIsLeft();
    expect(processesNaming(pair.a.paths.run), 'connections of the killed process').toEqual([]);
  });
});

describe("the spare's gate, killed", () => {
  test.each(pushPoints)('at "%s", takes the next push as if nothing had been', async (point) => {
    change();
    writeFileSync(join(pair.b.root, 'die-at-gate'), point);
    await expect(send()).rejects.toMatchObject({ class: 'unreachable' });
    expect(existsSync(join(pair.b.root, 'die-at-gate'))).toBe(false);
    await bothSides();
    expect(tree(pair.b)).toEqual(tree(pair.a));
    nothingIsLeft();
  });
});

describe("the spare's job, killed", async () => {
  const around = { home: {} as FilesHome, archive: '', accounts: await readAccounts(), obstacles: [] };
  const manifest = { epoch: { number: 1, id: '' }, files: [] as unknown } as Manifest;
  const plan = { place: [], keep: [], remove: [], notAllowed: [] };
  const steps = applySteps(around, { manifest, taken: '', plan });
  test.each(
    deathsAround(
      steps.map(({ name }) => name),
      ['before', 'during', 'after'],
    ).map((death) => [describeDeath(death), death] as const),
  )('%s, rolls forward: every file is the old or the new one, and then the new one', async (_, death) => {
    const before = tree(pair.b);
    change();
    const after = tree(pair.a);
    await bothSides(async () => {
      const killed = await side('apply', death);
      expect(killed.signal, killed.output).toBe('SIGKILL');
      for (const [name, content] of Object.entries(tree(pair.b)))
        expect([before[name], after[name]]).toContain(content);
      await applyOnce();
    });
    expect(tree(pair.b)).toEqual(after);
    nothingIsLeft();
  });
});
