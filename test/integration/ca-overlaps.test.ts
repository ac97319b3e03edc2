import { copyFile, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createCaPair, problemsOf, type CaPair } from '../helpers/ca-pair.ts';

let pair: CaPair;
beforeEach(async () => {
  pair = await createCaPair();
});
afterEach(() => pair[Symbol.asyncDispose]());

const spare = (...parts: string[]): string => join(pair.root, 'spare', ...parts);
const active = (...parts: string[]): string => join(pair.root, 'active', ...parts);
const failures = (): string[] => pair.log.filter((line) => line.startsWith('FAILURE'));
const linesOf = async (serial: string): Promise<string[]> =>
  (await readFile(spare('inventory.txt'), 'utf8')).split('\n').filter((line) => line.startsWith(`0x${serial} `));

test('a serial counter that went back is a FAILURE once, with both names; both certificates live, and what it says to type helps', async () => {
  const backup = await readFile(active('serial'));
  await pair.active.signMany(['a.lab', 'other.lab']);
  await pair.sync();
  await writeFile(active('serial'), backup);
  expect(await pair.active.sign('b.lab')).toBe(3n);
  expect((await pair.sync()).kind).toBe('done');
  expect(failures()).toHaveLength(1);
  expect(failures()[0]).toMatch(/0x0003 of a\.lab \(.*\) was given to b\.lab \(.*write 0005 into "serial"/);
  expect((await linesOf('0003')).map((line) => line.split('=')[1])).toEqual(['a.lab', 'b.lab']);
  expect(await readFile(spare('signed/b.lab.pem'))).toEqual(await readFile(active('signed/b.lab.pem')));

  await pair.compare();
  pair.restartActive();
  await pair.sync();
  await pair.compare();
  expect(failures()).toHaveLength(1);

  await writeFile(active('serial'), '0005');
  await rm(active('signed/b.lab.pem'));
  await pair.sync();
  expect(await pair.active.sign('b.lab')).toBe(5n);
  await pair.sync();
  await pair.active.clean('a.lab');
  await pair.sync();
  expect(await pair.spareRevoked()).toEqual([3n]);
  expect(await problemsOf(spare())).toEqual([]);
  expect(failures()).toHaveLength(1);
});

test('an inventory that was restored with the serial costs the spare no line, and gets those back that it lost', async () => {
  await pair.active.sign('first.lab');
  for (const name of ['serial', 'inventory.txt']) await copyFile(active(name), join(pair.root, name));
  await pair.active.sign('a.lab');
  await pair.sync();
  for (const name of ['serial', 'inventory.txt']) await copyFile(join(pair.root, name), active(name));
  await pair.active.sign('b.lab');
  await pair.sync();
  expect(failures()).toEqual([expect.stringMatching(/0x0004 of a\.lab .* given to b\.lab/)]);
  expect(await linesOf('0004')).toHaveLength(2);
  await pair.compare();
  await pair.fetch();
  expect(await readFile(active('inventory.txt'), 'utf8')).toContain('/CN=a.lab');
  await pair.sync();
  await pair.compare();
  expect(pair.own).toMatchObject({ inventory: [], certificates: [] });
  expect(failures()).toHaveLength(1);
});
