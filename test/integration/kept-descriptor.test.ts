import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readSigned, takeOver } from '../../src/drops/take-over.ts';
import { toFailure } from '../../src/errors.ts';
import { openHostileTree } from '../../src/system/beneath.ts';
import { startPair, type TestPair } from '../helpers/pair.ts';
import { epochId, file, payload, plantDrop } from '../helpers/planted-drops.ts';

let pair: TestPair;
const content = randomBytes(4_000_000);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

beforeEach(async () => {
  pair = await startPair();
  plantDrop(ready(), pair.a, {
    name,
    manifest: { files: [{ ...file(payload), size: content.length, sha256: sha256(content) }] },
    spoil: (directory) => writeFileSync(join(directory, payload), content),
  });
  mkdirSync(join(pair.b.paths.taken, 'sync-files'), { recursive: true });
});
afterEach(() => pair[Symbol.asyncDispose]());

const name = `1.${epochId}-50`;
const ready = (): string => join(pair.b.paths.inbox, 'sync-files/ready');
const target = (): string => join(pair.b.paths.taken, 'sync-files', name);
const taken = (): string => sha256(readFileSync(join(target(), payload)));

async function take(): Promise<void> {
  await using drop = await openHostileTree(join(ready(), name));
  const expected = { source: 'mastera.test', target: 'masterb.test', signingKey: pair.a.pairing.signingKey };
  await takeOver(drop, target(), await readSigned(drop, { stream: 'sync-files', name, ...expected }));
}

it('who wrote a file of a drop and kept it open changes nothing of what root has taken', async () => {
  const kept = openSync(join(ready(), name, payload), 'r+');
  await take();
  writeSync(kept, 'changed afterwards');
  expect(taken()).toBe(sha256(content));
  rmSync(target(), { recursive: true });
  await expect(take()).rejects.toMatchObject({ class: 'bad-data', where: payload }); // judged anew, it is another file
  expect(existsSync(target())).toBe(false);
  closeSync(kept);
});

it(
  'a file that changes all the time while it is verified is taken as it was signed, or refused',
  { timeout: 60_000 },
  async () => {
    const flip = `const fs = require('node:fs'), [, path] = process.argv, fd = fs.openSync(path, 'r+');
    const right = fs.readFileSync(path).subarray(0, 4096), wrong = Buffer.alloc(4096);
    console.log('writes');
    for (;;) { fs.writeSync(fd, wrong, 0, 4096, 0); fs.writeSync(fd, right, 0, 4096, 0); }`;
    const writer = spawn(process.execPath, ['-e', flip, join(ready(), name, payload)]);
    await once(writer.stdout, 'data');
    const outcomes = new Set<string>();
    for (let n = 0; n < 200 && outcomes.size < 2; n += 1) {
      const outcome = await take().then(
        () => 'taken',
        (error: unknown) => toFailure(error).class,
      );
      outcomes.add(outcome);
      expect(existsSync(target())).toBe(outcome === 'taken');
      if (outcome === 'taken') expect(taken()).toBe(sha256(content));
      rmSync(target(), { recursive: true, force: true });
    }
    const ended = once(writer, 'exit');
    writer.kill('SIGKILL');
    await ended;
    expect([...outcomes].sort()).toEqual(['bad-data', 'taken']);
  },
);
