import { spawnSync } from 'node:child_process';
import { cp, mkdir, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCaPair, problemsOf, revokedIn, type CaPair } from '../helpers/ca-pair.ts';

const program = join(import.meta.dirname, 'dying-spare.ts');
const steps = 10;
const points = [
  ...Array.from({ length: steps }, (_, n) => [String(n), 'before']),
  ...Array.from({ length: steps }, (_, n) => [String(n), 'after']),
  ...Array.from({ length: steps }, (_, n) => [String(n), 'during']),
  ['end', 'before'],
  ['end', 'after'],
];

let pair: CaPair;
let scene = '';
let own = 0n;

/** A spare with a history of its own, and a drop that signs, renews, cleans and revokes, waiting beside it. */
beforeAll(async () => {
  pair = await createCaPair();
  scene = join(pair.root, 'scene');
  await pair.active.signMany(['a.lab', 'b.lab', 'c.lab', 'd.lab']);
  await pair.sync();
  own = await pair.spare.sign('own.lab');
  await pair.spare.revoke('own.lab');
  await pair.spare.sign('both.lab');
  pair.tamper = async (drop) => {
    await mkdir(scene);
    for (const name of ['spare', 'content', 'archive', 'spare.db', 'spare.db-wal', 'spare.db-shm']) {
      await cp(join(pair.root, name), join(scene, name), { recursive: true }).catch(() => undefined);
    }
    await cp(drop.directory, join(scene, 'drop'), { recursive: true });
    await writeFile(join(scene, 'drop.json'), JSON.stringify(drop.manifest));
    return drop;
  };
  await pair.active.signMany(['a.lab', 'both.lab', 'new.lab', ...Array.from({ length: 20 }, (_, n) => `n${n}.lab`)]);
  await pair.active.clean('b.lab');
  await unlink(pair.active.certificatePath('c.lab'));
  await pair.sync();
});
afterAll(() => pair[Symbol.asyncDispose]());

const run = (root: string, step: string, when: string) =>
  spawnSync(process.execPath, [program, root, step, when], { encoding: 'utf8', timeout: 60_000 });

test.each(points)(
  'killed at step %s, %s it: a valid CA at once, and after the next start all of the drop',
  async (step, when) => {
    const root = join(pair.root, `died-${step}-${when}`);
    await cp(scene, root, { recursive: true });
    const died = run(root, step ?? '', when ?? '');
    expect([died.signal, died.stderr]).toEqual(['SIGKILL', '']);
    const between = await problemsOf(join(root, 'spare'));
    expect(between.filter((problem) => !problem.endsWith('is temporary'))).toEqual([]);
    expect(await revokedIn(join(root, 'spare'))).toContain(own);
    const again = run(root, 'none', '');
    expect([again.status, again.stderr, again.stdout.split(':')[0]]).toEqual([0, '', 'applied']);
    await expectSame(root);
    await rm(root, { recursive: true });
  },
);

test('the points cover every step: one beyond the last does not die', async () => {
  const root = join(pair.root, 'beyond');
  await cp(scene, root, { recursive: true });
  expect(run(root, String(steps), 'before').status).toBe(0);
});

async function expectSame(root: string): Promise<void> {
  const spare = join(root, 'spare');
  const signed = await readdir(join(spare, 'signed'));
  expect(signed.sort()).toEqual((await readdir(join(pair.root, 'spare', 'signed'))).sort());
  for (const name of signed) {
    expect(await readFile(join(spare, 'signed', name))).toEqual(
      await readFile(join(pair.root, 'spare', 'signed', name)),
    );
  }
  expect(await problemsOf(spare)).toEqual([]);
  expect(await revokedIn(spare)).toEqual(await pair.spareRevoked());
  const lines = async (path: string): Promise<string[]> =>
    (await readFile(join(path, 'inventory.txt'), 'utf8')).split('\n').sort();
  expect(await lines(spare)).toEqual(await lines(join(pair.root, 'spare')));
  expect((await readdir(root, { recursive: true })).filter((name) => /\.pe-failover-|\.crl$/.test(name))).toEqual([]);
  const archived = (await readdir(join(root, 'archive'), { recursive: true })).join(' ');
  for (const name of ['0004-b.lab.pem', 'c.lab.pem', 'both.lab.pem', '0003-a.lab.pem'])
    expect(archived).toContain(name);
  expect(await readdir(join(root, 'journal')).catch(() => [])).toEqual([]);
}
