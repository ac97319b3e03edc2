import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { captureForAdoption } from '../../src/puppet/ca-adoption.ts';
import { serialGap } from '../../src/rules/serial.ts';
import { readAccounts } from '../../src/system/accounts.ts';
import { readCertificates } from '../../src/system/certificates.ts';
import { readIfThere } from '../../src/system/files.ts';
import { packDrop, problemsOf } from '../helpers/ca-pair.ts';
import { createTestCa, openTestCa } from '../stand-in/ca.ts';

const program = join(import.meta.dirname, 'dying-spare.ts');
const steps = 3;
const points = [
  ...['before', 'after', 'during'].flatMap((when) => Array.from({ length: steps }, (_, n) => [String(n), when])),
  ['end', 'before'],
  ['end', 'after'],
  ['asked', ''],
];

let top = '';
let scene = '';
let [old, wanted] = ['', ''];
const authorityOf = async (cadir: string): Promise<string> => {
  const pem = await readIfThere(join(cadir, 'ca_crt.pem'));
  return pem === undefined ? 'none' : (readCertificates(pem, cadir)[0]?.fingerprint ?? '');
};

/** A spare with a CA of its own that was told to adopt another, which waits beside it as a verified drop. */
beforeAll(async () => {
  top = await mkdtemp(join(tmpdir(), 'pe-failover-adoption-'));
  scene = join(top, 'scene');
  await mkdir(scene);
  const active = await createTestCa(join(top, 'active'), { name: 'lab' });
  await active.signMany(['a.lab', 'b.lab']);
  await (await createTestCa(join(scene, 'spare'), { name: 'old' })).sign('own.lab');
  [old, wanted] = [await authorityOf(join(scene, 'spare')), await authorityOf(active.directory)];
  const accounts = await readAccounts();
  const goods = {
    stream: 'sync-certs',
    kind: 'whole' as const,
    digest: 'd'.repeat(64),
    pack: (directory: string) =>
      captureForAdoption({ cadir: active.directory, directory, fingerprint: wanted, accounts }),
  };
  const drop = await packDrop(top, goods, 1);
  await cp(drop.directory, join(scene, 'drop'), { recursive: true });
  const manifest = { ...drop.manifest, capturedAt: '2026-11-21T00:00:00Z', detail: { adoption: wanted } };
  await writeFile(join(scene, 'drop.json'), JSON.stringify(manifest));
  await writeFile(join(scene, 'asked'), wanted);
});
afterAll(() => rm(top, { recursive: true }));

const run = (root: string, step: string, when: string) =>
  spawnSync(process.execPath, [program, root, step, when], { encoding: 'utf8', timeout: 60_000 });

test.each(points)(
  'killed at step %s (%s) of an adoption: no half CA in place, and after the next start all of the new one',
  async (step, when) => {
    const root = join(top, `died-${step}-${when}`);
    const spare = join(root, 'spare');
    await cp(scene, root, { recursive: true });
    const died = run(root, step ?? '', when ?? '');
    expect([died.signal, died.stderr]).toEqual(['SIGKILL', '']);
    expect([old, wanted, 'none']).toContain(await authorityOf(spare));
    if ((await authorityOf(spare)) !== 'none') expect(await problemsOf(spare)).toEqual([]);

    const again = run(root, 'none', '');
    expect([again.status, again.stderr]).toEqual([0, '']);
    expect(again.stdout).toMatch(/^(applied|unchanged): /);
    expect(await authorityOf(spare)).toBe(wanted);
    expect(await problemsOf(spare)).toEqual([]);
    expect(await authorityOf(join(root, 'spare.replaced-20261121T000000Z'))).toBe(old);
    expect((await readdir(root)).filter((name) => /adopting|asked/.test(name))).toEqual([]);
    expect(await readdir(join(root, 'journal'))).toEqual([]);
    expect(await (await openTestCa(spare)).sign('c.lab')).toBe(4n + serialGap + 1n);
    await rm(root, { recursive: true });
  },
);

test('the points cover every step: one beyond the last does not die', async () => {
  const root = join(top, 'beyond');
  await cp(scene, root, { recursive: true });
  expect(run(root, String(steps), 'before').status).toBe(0);
  expect((await readFile(join(root, 'spare', 'serial'), 'utf8')).trim()).not.toBe('');
});
