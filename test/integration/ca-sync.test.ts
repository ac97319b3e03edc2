import { copyFile, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { serialGap } from '../../src/rules/serial.ts';
import { createCaPair, epoch, problemsOf, type CaPair } from '../helpers/ca-pair.ts';
import { createTestCa } from '../stand-in/ca.ts';

let pair: CaPair;
beforeEach(async () => {
  pair = await createCaPair();
});
afterEach(() => pair[Symbol.asyncDispose]());

const spare = (...parts: string[]): string => join(pair.root, 'spare', ...parts);
const active = (...parts: string[]): string => join(pair.root, 'active', ...parts);
const bytes = (path: string): Promise<string> => readFile(path, 'latin1');
const signed = (name: string): string => `signed/${name}.pem`;

describe('what the active signs and revokes', () => {
  test('a signed certificate is live on the spare, and only it travels', async () => {
    await pair.active.signMany(['a.lab', 'b.lab']);
    await pair.sync();
    await pair.active.sign('c.lab');
    const outcome = await pair.sync([active('serial'), active('inventory.txt'), active(signed('c.lab'))]);
    expect(outcome).toMatchObject({ kind: 'done', why: 'applied there' });
    expect(pair.drops.at(-1)?.files.map(({ path }) => path)).toEqual([signed('c.lab'), 'inventory.txt', 'serial']);
    expect(pair.drops.at(-1)?.files[1]?.append?.from).toBeGreaterThan(0);
    expect(await bytes(spare(signed('c.lab')))).toBe(await bytes(active(signed('c.lab'))));
    expect(await problemsOf(spare())).toEqual([]);
    expect(pair.log.at(-1)).toBe('SUCCESS Completed sync of Puppet CA directory to spare.lab');
  });

  test('serial and inventory alone wait for the certificate that they announce', async () => {
    await pair.sync();
    await pair.active.sign('late.lab');
    const drops = pair.drops.length;
    await pair.sync([active('serial'), active('inventory.txt')]);
    expect(pair.drops.length).toBe(drops + 1);
    expect(pair.drops.at(-1)?.files[0]?.path).toBe(signed('late.lab'));
  });

  test('a revocation, which changes the CRL alone, is live on the spare', async () => {
    const serial = await pair.active.sign('a.lab');
    await pair.sync();
    await pair.active.revoke('a.lab');
    await pair.sync(['ca_crl.pem']);
    expect(await pair.spareRevoked()).toEqual([serial]);
    expect(await bytes(spare('ca_crl.pem'))).toBe(await bytes(active('ca_crl.pem')));
    expect((await readdir(spare('signed'))).length).toBe(1);
  });

  test('a cleaned certificate is revoked and gone, and its copy lies in the archive by serial', async () => {
    const [serial] = await pair.active.signMany(['a.lab', 'stays.lab']);
    await pair.sync();
    await pair.active.clean('a.lab');
    await pair.sync(['ca_crl.pem', signed('a.lab')]);
    expect(await readdir(spare('signed'))).toEqual(['stays.lab.pem']);
    expect(await pair.spareRevoked()).toEqual([serial]);
    expect((await readdir(join(pair.root, 'archive'), { recursive: true })).join()).toContain('0003-a.lab.pem');
  });

  test('a renewal under the same name replaces the certificate, without a warning', async () => {
    await pair.active.sign('a.lab');
    await pair.sync();
    await pair.active.sign('a.lab');
    await pair.sync([active(signed('a.lab'))]);
    expect(await bytes(spare(signed('a.lab')))).toBe(await bytes(active(signed('a.lab'))));
    expect(pair.log.filter((line) => line.startsWith('WARNING'))).toEqual([]);
  });

  test('a burst of 500 arrives whole', async () => {
    await pair.sync();
    await pair.active.signMany(Array.from({ length: 500 }, (_, n) => `n${n}.lab`));
    await pair.sync();
    expect((await readdir(spare('signed'))).length).toBe(500);
    expect(pair.activeSet.digest()).toBe(pair.spareSet.digest());
  });

  test('unchanged data sends nothing, also after a restart of the watcher and touched files', async () => {
    await pair.active.sign('a.lab');
    await pair.sync();
    await utimes(active(signed('a.lab')), 1, 1);
    const drops = pair.drops.length;
    expect((await pair.sync()).kind).toBe('unchanged');
    expect((await pair.sync([active('requests', 'x.pem'), active(`${signed('a.lab')}123tmp`)])).kind).toBe('unchanged');
    expect(pair.drops.length).toBe(drops);
  });

  test('names with shell characters and spaces arrive as they are', async () => {
    const names = ['a b.lab', '$(reboot).lab', "it's;rm -rf.lab", '-rf.lab', 'ä.lab'];
    await pair.active.signMany(names);
    await pair.sync();
    expect((await readdir(spare('signed'))).sort()).toEqual(names.map((name) => `${name}.pem`).sort());
  });

  test('keys never travel', async () => {
    await pair.sync();
    const paths = pair.drops.flatMap(({ files }) => files.map(({ path }) => path));
    expect(paths.filter((path) => path.includes('key'))).toEqual([]);
  });
});

describe('what the spare does not believe', () => {
  test('one bad file in signed/ is skipped with a warning and does not block the rest', async () => {
    await writeFile(active('signed', 'junk.pem'), 'not a certificate');
    await pair.active.sign('good.lab');
    await pair.sync();
    expect(await readdir(spare('signed'))).toEqual(['good.lab.pem']);
    expect(pair.log.join('\n')).toContain('WARNING Skipped signed/junk.pem: no CERTIFICATE in the file');
    expect(pair.verdicts.at(-1)).toMatchObject({
      state: 'applied',
      live: { ok: false, differing: ['signed/junk.pem'] },
    });
  });

  test('a certificate of another CA, or of another name, does not go live', async () => {
    const other = await createTestCa(join(pair.root, 'other'), { name: 'lab' });
    await other.sign('forged.lab');
    await pair.active.sign('good.lab');
    await copyFile(other.certificatePath('forged.lab'), active(signed('forged.lab')));
    await copyFile(pair.active.certificatePath('good.lab'), active(signed('admin.lab')));
    await pair.sync();
    expect(await readdir(spare('signed'))).toEqual(['good.lab.pem']);
    expect(pair.log.join('\n')).toMatch(/signed\/forged.lab.pem: its signature is not the CA's/);
    expect(pair.log.join('\n')).toMatch(/signed\/admin.lab.pem: it is of good.lab/);
  });

  test('a CRL that another CA signed does not go live: the drop has failed, the certificates are there', async () => {
    const other = await createTestCa(join(pair.root, 'other'), { name: 'lab' });
    const before = await bytes(spare('ca_crl.pem'));
    await other.sign('x.lab');
    await other.revoke('x.lab');
    await pair.active.sign('good.lab');
    await copyFile(join(other.directory, 'ca_crl.pem'), active('ca_crl.pem'));
    await expect(pair.sync()).rejects.toThrow(/could not apply all of the CA/);
    expect(await bytes(spare('ca_crl.pem'))).toBe(before);
    expect(await readdir(spare('signed'))).toEqual(['good.lab.pem']);
  });

  test('an older CRL does not un-revoke: the union is live, and the loss is held with the serial', async () => {
    const serial = await pair.active.sign('a.lab');
    await pair.sync();
    await copyFile(active('ca_crl.pem'), join(pair.root, 'older.pem'));
    await pair.active.revoke('a.lab');
    await pair.sync();
    await copyFile(join(pair.root, 'older.pem'), active('ca_crl.pem'));
    expect((await pair.sync()).kind).toBe('held');
    expect(await pair.spareRevoked()).toEqual([serial]);
    expect(pair.holds.at(-1)).toMatchObject({
      rule: 'crl-lost',
      difference: ['Puppet CA: lab: no longer revoked: 0x0003'],
    });
    await pair.kept.decide(pair.holds.at(-1)?.id ?? '', 'released');
    await pair.compare();
    expect(await pair.spareRevoked()).toEqual([]);
  });

  test('an inventory that was changed on the way is refused, and the whole CA follows', async () => {
    await pair.sync();
    await pair.active.sign('a.lab');
    pair.tamper = async (drop) => {
      pair.tamper = undefined;
      const inventory = join(drop.directory, 'inventory.txt');
      await writeFile(inventory, (await bytes(inventory)).replace('a.lab', 'b.lab'));
      return drop;
    };
    expect(await pair.sync([active(signed('a.lab')), active('inventory.txt')])).toMatchObject({ why: 'applied there' });
    expect(pair.drops.at(-1)?.kind).toBe('whole');
    expect(await bytes(spare(signed('a.lab')))).toBe(await bytes(active(signed('a.lab'))));
  });
});

describe('what both sides write', () => {
  test("the spare's serial is raised to a gap above the active's and never goes down", async () => {
    await pair.active.sign('a.lab');
    await pair.sync();
    const raised = await pair.spareSerial();
    expect(raised).toBe(4n + serialGap);
    await pair.spare.sign('own.lab');
    await pair.active.sign('b.lab');
    await pair.sync();
    expect(await pair.spareSerial()).toBe(raised + 1n);
  });

  test('what the spare signed and revoked itself stays, and is counted as made here', async () => {
    await pair.active.sign('a.lab');
    await pair.sync();
    const own = await pair.spare.sign('own.lab');
    await pair.spare.revoke('own.lab');
    const serial = await pair.active.sign('b.lab');
    await pair.active.revoke('b.lab');
    await pair.sync();
    await pair.compare();
    expect(await pair.spareRevoked()).toEqual([serial, own]);
    expect((await readdir(spare('signed'))).sort()).toEqual(['a.lab.pem', 'b.lab.pem', 'own.lab.pem']);
    expect(await bytes(spare('inventory.txt'))).toContain('CN=own.lab');
    expect(pair.verdicts.at(-1)).toMatchObject({ madeHere: { certificates: 1, revocations: 1 }, live: { ok: true } });
    expect(await problemsOf(spare())).toEqual([]);
  });

  test("where both signed one name, the active's is live and the spare's own lies in the archive by serial", async () => {
    await pair.sync();
    const own = await pair.spare.sign('both.lab');
    await pair.active.sign('both.lab');
    await pair.sync();
    expect(await bytes(spare(signed('both.lab')))).toBe(await bytes(active(signed('both.lab'))));
    const archived = (await readdir(join(pair.root, 'archive'), { recursive: true })).join();
    expect(archived).toContain(`${own.toString(16).toUpperCase()}-both.lab.pem`);
    expect(pair.log.join('\n')).toContain('Both masters signed signed/both.lab.pem');
  });

  test("after roles were exchanged the spare's own certificate, and what the new active leaves out, stay where they are", async () => {
    Object.assign(pair, { spareName: 'other.lab', excludeCerts: [] });
    pair.restartActive();
    await pair.active.signMany(['spare.lab', 'left-out.lab', 'a.lab', 'b.lab']);
    await pair.sync();
    expect(await readdir(spare('signed'))).toHaveLength(4);
    Object.assign(pair, { spareName: 'spare.lab', excludeCerts: ['left-out.lab'] });
    pair.restartActive();
    pair.activeSet.rebuild([], { epoch, sequence: 0 }); // a new active sends the whole CA
    await pair.active.clean('a.lab');
    await pair.sync();
    await pair.compare();
    expect((await readdir(spare('signed'))).sort()).toEqual(['b.lab.pem', 'left-out.lab.pem', 'spare.lab.pem']);
    expect(pair.verdicts.at(-1)).toMatchObject({ live: { ok: true } });
  });

  test('what drifted on the spare is put back without the active', async () => {
    await pair.active.signMany(['a.lab', 'b.lab']);
    await pair.active.revoke('b.lab');
    await pair.sync();
    await copyFile(active('infra_crl.pem'), spare('ca_crl.pem')); // an empty, older one
    await rm(spare(signed('a.lab')));
    await writeFile(spare(signed('b.lab')), 'torn');
    await pair.compare();
    expect(await bytes(spare(signed('a.lab')))).toBe(await bytes(active(signed('a.lab'))));
    expect(await bytes(spare(signed('b.lab')))).toBe(await bytes(active(signed('b.lab'))));
    expect(await pair.spareRevoked()).toEqual([4n]);
    const again = await pair.compare();
    expect(again.kind).toBe('unchanged');
  });
});

describe('what is held', () => {
  const many = Array.from({ length: 30 }, (_, n) => `n${n}.lab`);
  test('an emptied source removes nothing until it is released; new certificates and the CRL go live', async () => {
    await pair.active.signMany(many);
    await pair.sync();
    for (const name of many.slice(1)) await rm(active(signed(name)));
    await pair.active.revoke(many[0] ?? '');
    await pair.active.sign('new.lab');
    expect((await pair.sync()).kind).toBe('held');
    expect((await readdir(spare('signed'))).length).toBe(31);
    expect((await pair.spareRevoked()).length).toBe(1);
    expect(pair.holds.at(-1)?.sentence).toBe('29 certificates of 30 vanished on the active');
    await pair.compare();
    expect(pair.verdicts.at(-1)).toMatchObject({ madeHere: { certificates: 0 } });
    await pair.kept.decide(pair.holds.at(-1)?.id ?? '', 'released');
    await pair.compare();
    expect((await readdir(spare('signed'))).sort()).toEqual(['n0.lab.pem', 'new.lab.pem']);
  });
});

test('the archive has what was replaced or removed alone, of the newest 24 drops: it does not grow', async () => {
  const names = Array.from({ length: 40 }, (_, n) => `n${n}.lab`);
  await pair.active.signMany(['stays.lab', ...names]);
  await pair.sync();
  for (const name of names) {
    await pair.active.clean(name);
    await pair.sync();
  }
  const archived = await readdir(join(pair.root, 'archive'));
  expect(archived).toHaveLength(24);
  const files = (await readdir(join(pair.root, 'archive'), { recursive: true })).filter((path) =>
    path.endsWith('.pem'),
  );
  expect(files.filter((path) => !/-n\d+\.lab\.pem$|ca_crl/.test(path))).toEqual([]);
});

test('owner and mode are kept as found on the spare', async () => {
  await pair.active.sign('a.lab');
  await pair.sync();
  await pair.active.revoke('a.lab');
  const before = await stat(spare('ca_crl.pem'));
  await pair.sync();
  const after = await stat(spare('ca_crl.pem'));
  expect([after.mode, after.uid, after.ino === before.ino]).toEqual([before.mode, before.uid, false]);
});
