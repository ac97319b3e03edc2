import { spawnSync } from 'node:child_process';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { additionsOf } from '../../src/puppet/ca-additions.ts';
import { createCaPair, revokedIn, type CaPair } from '../helpers/ca-pair.ts';
import { fetchTools, madeHereOf } from '../helpers/made-here.ts';

const program = join(import.meta.dirname, 'dying-active.ts');
/** Those that have something to do; the last test looks whether there are others. */
const steps = ['archive', 'serial', 'inventory', 'certificates', 'crl'];
const points = [...steps, 'end'].flatMap((step) =>
  (step === 'end' ? ['before', 'after'] : ['before', 'after', 'during']).map((when) => [step, when] as const),
);

let pair: CaPair;
let scene = '';

/** An active whose serial comes near what the spare signed, and a spare that signed and revoked. */
beforeAll(async () => {
  pair = await createCaPair();
  scene = join(pair.root, 'scene');
  await pair.active.signMany(['a.lab', 'b.lab']);
  await pair.active.revoke('b.lab');
  await pair.sync();
  await pair.spare.signMany(['own.lab', 'other.lab']);
  await pair.spare.revoke('a.lab');
  await pair.compare();
  await mkdir(scene);
  await cp(join(pair.root, 'active'), join(scene, 'active'), { recursive: true });
  await writeFile(join(scene, 'active', 'serial'), ((await pair.spareSerial()) - 5n).toString(16));
  if (pair.own === undefined) throw new Error('the spare made nothing');
  await writeFile(join(scene, 'made.json'), JSON.stringify(madeHereOf(pair.own)));
});
afterAll(() => pair[Symbol.asyncDispose]());

const run = (root: string, step: string, when: string) =>
  spawnSync(process.execPath, [program, root, step, when], { encoding: 'utf8', timeout: 60_000 });

test.each(points)(
  'an active killed at step %s, %s it, has all that the spare made after its next start, and lost nothing',
  async (step, when) => {
    const root = join(pair.root, `died-${step}-${when}`);
    await cp(scene, root, { recursive: true });
    const died = run(root, step, when);
    expect([died.signal, died.stderr]).toEqual(['SIGKILL', '']);
    const again = run(root, 'none', '');
    expect([again.status, again.stderr]).toEqual([0, '']);
    await expectAll(root);
    await rm(root, { recursive: true });
  },
);

test('the points cover every step that has something to do', async () => {
  const made = madeHereOf(pair.own ?? { certificates: [], inventory: [], revocations: [] });
  const tools = fetchTools(
    scene,
    () => made,
    () => undefined,
  );
  const additions = await additionsOf(tools, made, new AbortController().signal);
  const open: string[] = [];
  for (const step of additions.steps) if (!(await step.isDone())) open.push(step.name);
  expect(open).toEqual(steps);
});

async function expectAll(root: string): Promise<void> {
  const active = join(root, 'active');
  expect((await readdir(join(active, 'signed'))).sort()).toEqual([
    'a.lab.pem',
    'b.lab.pem',
    'other.lab.pem',
    'own.lab.pem',
  ]);
  expect(await revokedIn(active)).toHaveLength(2);
  const inventory = await readFile(join(active, 'inventory.txt'), 'utf8');
  expect(inventory.match(/CN=\w+\.lab/g)?.sort()).toEqual(['CN=a.lab', 'CN=b.lab', 'CN=other.lab', 'CN=own.lab']);
  const serial = BigInt(`0x${await readFile(join(active, 'serial'), 'utf8')}`);
  expect(serial).toBeGreaterThan(await pair.spareSerial());
  const left = (await readdir(root, { recursive: true })).filter((name) => /\.pe-failover-|\.crl$|^fetched/.test(name));
  expect(left).toEqual([]);
  expect(await readdir(join(root, 'journal')).catch(() => [])).toEqual([]);
}
