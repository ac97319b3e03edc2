import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createAgentPair,
  filesOnly,
  secretOf,
  startBoth,
  type AgentMaster,
  type AgentPair,
} from '../helpers/agents.ts';
import { pathsBelow, program } from '../helpers/pair.ts';

let pair: AgentPair;
beforeAll(async () => {
  pair = await createAgentPair(() => `${filesOnly()}peer_address: 127.0.0.1\ndatabases: []\n`);
  await startBoth(pair);
}, 60_000);
afterAll(() => pair[Symbol.asyncDispose]());

const stream = 'sync-files';
/** Drops that the spare's root judged, by their numbers. */
function judged({ root }: AgentMaster): number[] {
  const lines = readFileSync(join(pathsBelow(root).receipts, `${stream}.jsonl`), 'utf8')
    .split('\n')
    .slice(0, -1);
  return lines.map(
    (line) => (JSON.parse((JSON.parse(line) as { body: string }).body) as { sequence: number }).sequence,
  );
}
const mark = ({ root }: AgentMaster): string => join(pathsBelow(root).state, 'fetch-anew.json');
const open = ({ root }: AgentMaster): string => join(pathsBelow(root).journal, 'procedure.jsonl');
const live = (): string => readFileSync(secretOf(pair.b), 'utf8');

/** Ends the command when it begins the step of that number. */
async function dieAt(step: number, ...args: string[]): Promise<NodeJS.Signals | null> {
  const child = spawn(program, ['reinitialize', '--root', pair.b.root, '--yes', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise<NodeJS.Signals | null>((resolve) => child.once('exit', (_code, signal) => resolve(signal)));
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    said += chunk;
    if (said.includes(`[${step}/4]`)) child.kill('SIGKILL');
  });
  child.stderr.resume();
  return await ended;
}

describe('reinitialize', () => {
  it('shows its steps, and changes nothing with --list-steps or --dry-run', () => {
    const { b } = pair;
    const shown = b.command('reinitialize', '--list-steps');
    expect([shown.code, shown.output]).toEqual([
      0,
      expect.stringContaining('tell mastera.test that this spare has nothing of it'),
    ]);
    const dry = b.command('reinitialize', '--dry-run');
    expect([dry.code, dry.output]).toEqual([
      0,
      expect.stringContaining('mastera.test is the active, and its agent runs'),
    ]);
    expect(existsSync(mark(b))).toBe(false);
  });

  it('has all of it sent anew and verified, though nothing changed, and removes what was damaged here', () => {
    const { b } = pair;
    const store = join(pathsBelow(b.root).store, stream);
    const [kept = ''] = readdirSync(store);
    writeFileSync(join(store, kept), 'damaged');
    const before = judged(b);
    const { code, output } = b.command('reinitialize', stream, '--yes');
    expect([code, output]).toEqual([0, expect.stringContaining('1 damaged file removed from the store')]);
    expect(Math.max(...judged(b))).toBeGreaterThan(Math.max(...before));
    expect(readFileSync(join(store, kept), 'utf8')).toBe('first');
    expect([live(), existsSync(mark(b)), existsSync(open(b))]).toEqual(['first', false, false]);
  }, 60_000);

  it.each([1, 2, 3, 4])(
    'killed in step %i goes on when it is typed again, and what is live stays',
    async (step) => {
      const { b } = pair;
      expect(await dieAt(step)).toBe('SIGKILL');
      expect(live()).toBe('first');
      const { code, output } = b.command('reinitialize', '--yes');
      // Killed before its first step was noted, it begins anew.
      expect([code, output]).toEqual([0, expect.stringContaining(step === 1 ? 'Done in' : 'Goes on with what began')]);
      expect([existsSync(mark(b)), existsSync(open(b))]).toEqual([false, false]);
    },
    60_000,
  );

  it('killed and undone says again what this spare has', async () => {
    const { b } = pair;
    expect(await dieAt(3)).toBe('SIGKILL');
    expect(b.command('reinitialize', '--undo')).toMatchObject({ code: 0 });
    expect([existsSync(mark(b)), existsSync(open(b))]).toEqual([false, false]);
    expect(live()).toBe('first');
  }, 60_000);

  it('is refused where the active cannot be asked, unless it only prepares: then it comes with the active', async () => {
    const { a, b } = pair;
    await a.stop();
    const refused = b.command('reinitialize', '--yes');
    expect([refused.code, refused.output]).toEqual([75, expect.stringContaining('--prepare')]);
    expect(existsSync(mark(b))).toBe(false);
    const before = Math.max(...judged(b));
    expect(b.command('reinitialize', '--prepare', '--yes')).toMatchObject({ code: 0 });
    a.start();
    await expect.poll(() => Math.max(...judged(b)), { timeout: 30_000 }).toBeGreaterThan(before);
  }, 90_000);

  it('of a stream that nobody knows, or while its job is paused, is refused', () => {
    const { b } = pair;
    expect(b.command('reinitialize', '--db', 'pe-x', '--yes')).toMatchObject({ code: 64 });
    b.command('pause', 'update-passive-files', '--for', '1h', '--reason', 'test');
    const { code, output } = b.command('reinitialize', '--yes');
    expect([code, output]).toEqual([75, expect.stringContaining('pe-failover resume update-passive-files')]);
    b.command('resume');
  });
});
