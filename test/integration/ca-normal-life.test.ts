import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readCertificates, readCrls } from '../../src/system/certificates.ts';
import { issueCrl } from '../../src/system/crl-issuing.ts';
import { exec } from '../../src/system/exec.ts';
import { createCaPair, problemsOf, revokedIn, type CaPair } from '../helpers/ca-pair.ts';
import { createTestCa } from '../stand-in/ca.ts';

const hourMs = 3_600_000;

let pair: CaPair;
beforeEach(async () => {
  pair = await createCaPair();
  pair.now = new Date('2027-03-01T00:00:00Z');
});
afterEach(() => pair[Symbol.asyncDispose]());

const spare = (...parts: string[]): string => join(pair.root, 'spare', ...parts);
const active = (...parts: string[]): string => join(pair.root, 'active', ...parts);
const names = (count: number, prefix = 'n'): string[] => Array.from({ length: count }, (_, n) => `${prefix}${n}.lab`);
const kept = async (): Promise<string[]> => (await pair.kept.list()).map(({ rule, decision }) => `${rule} ${decision}`);
const later = (hours: number): void => void (pair.now = new Date((pair.now?.getTime() ?? 0) + hours * hourMs));
const saying = (status: string): string[] => pair.log.filter((line) => line.startsWith(status));
const openssl = (...args: string[]) => exec({ file: 'openssl', args, timeoutMs: 30_000 });

/** The CRL of the CA with these serials only, and a higher number, as `puppetserver ca prune` leaves it. */
async function prune(keep: (serial: bigint) => boolean): Promise<void> {
  const [own, ...others] = readCrls(await readFile(active('ca_crl.pem')), 'ca_crl.pem');
  const [authority] = readCertificates(await readFile(active('ca_crt.pem')), 'ca_crt.pem');
  const pem = await issueCrl(exec, {
    certificatePem: authority?.x509.toString() ?? '',
    keyPath: active('ca_key.pem'),
    number: (own?.number ?? 0n) + 1n,
    revoked: new Map([...(own?.revoked ?? [])].filter(([serial]) => keep(serial))),
    work: join(pair.root, 'prune'),
  });
  await writeFile(active('ca_crl.pem'), pem + others.map((crl) => `${crl.pem}\n`).join(''));
}

/** A new certificate of the issuing CA, for its own key, under its root. */
async function renewCa(days: number): Promise<void> {
  const [, root] = readCertificates(await readFile(active('ca_crt.pem')), 'ca_crt.pem');
  const [request, made, rootPem, extensions] = ['csr', 'new.pem', 'root.pem', 'ext'].map((name) =>
    join(pair.root, name),
  );
  if (request === undefined || made === undefined || rootPem === undefined || extensions === undefined)
    throw new Error();
  await writeFile(rootPem, root?.x509.toString() ?? '');
  await writeFile(extensions, 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n');
  await openssl('x509', '-x509toreq', '-in', active('ca_crt.pem'), '-signkey', active('ca_key.pem'), '-out', request);
  const signer = ['-CA', rootPem, '-CAkey', active('root_key.pem'), '-set_serial', '77', '-extfile', extensions];
  await openssl('x509', '-req', '-in', request, ...signer, '-days', String(days), '-out', made);
  await writeFile(active('ca_crt.pem'), (await readFile(made, 'utf8')) + (root?.x509.toString() ?? ''));
}

describe('holds nothing', () => {
  afterEach(async () => {
    expect(await kept()).toEqual([]);
    expect(pair.holds).toEqual([]);
    expect(saying('FAILURE')).toEqual([]);
    expect(await problemsOf(spare())).toEqual([]);
  });

  test('3,000 signings in a day, of which most are short-lived', async () => {
    await pair.active.signMany(names(200));
    await pair.sync();
    for (let hour = 0; hour < 24; hour += 1) {
      const burst = names(125, `h${hour}n`);
      await pair.active.signMany(burst, pair.now);
      await pair.sync();
      for (let at = 0; at < 100; at += 20) {
        for (const name of burst.slice(at, at + 20)) await rm(active('signed', `${name}.pem`));
        await pair.sync();
      }
      later(1);
    }
    expect((await readdir(spare('signed'))).length).toBe(200 + 24 * 25);
  }, 400_000);

  test('a week in which every certificate is renewed under its name', async () => {
    await pair.active.signMany(names(70));
    await pair.sync();
    for (let day = 0; day < 7; day += 1) {
      for (const host of names(70).slice(day * 10, day * 10 + 10)) await pair.active.sign(host, pair.now);
      await pair.sync();
      later(24);
    }
    const same = names(70).map(
      async (name) =>
        (await readFile(spare('signed', `${name}.pem`), 'utf8')) ===
        (await readFile(active('signed', `${name}.pem`), 'utf8')),
    );
    expect(new Set(await Promise.all(same))).toEqual(new Set([true]));
    expect(saying('WARNING')).toEqual([]);
  });

  test('a CRL that was pruned of what has expired', async () => {
    const serials = await pair.active.signMany(names(40));
    await pair.active.revokeSerials(serials.slice(0, 30));
    await pair.sync();
    pair.now = new Date('2031-11-21T00:00:00Z'); // all of them have ended
    await prune((serial) => serials.indexOf(serial) >= 15);
    await pair.sync(['ca_crl.pem']);
    expect(await revokedIn(spare())).toEqual(serials.slice(15, 30));
    await prune(() => false);
    await pair.sync(['ca_crl.pem']);
    await pair.compare();
    expect([await revokedIn(spare()), await readFile(spare('ca_crl.pem'), 'utf8')]).toEqual([
      [],
      await readFile(active('ca_crl.pem'), 'utf8'),
    ]);
  });

  test('a CA certificate that was renewed with its key under its root: a WARNING names both, and all that it signed goes on', async () => {
    pair.now = new Date();
    await pair.active.signMany(names(3));
    await pair.sync();
    const [before] = readCertificates(await readFile(active('ca_crt.pem')), 'x');
    await renewCa(5000);
    const [after] = readCertificates(await readFile(active('ca_crt.pem')), 'x');
    await pair.active.sign('new.lab');
    await pair.sync();
    expect(await readFile(spare('ca_crt.pem'), 'utf8')).toBe(await readFile(active('ca_crt.pem'), 'utf8'));
    expect(saying('WARNING')).toEqual([expect.stringContaining('was renewed with its key')]);
    expect(saying('WARNING')[0]).toContain(
      `${before?.fingerprint ?? '?'} (until 2031-11-20) -> ${after?.fingerprint ?? '?'}`,
    );
    await pair.compare();
    await pair.active.revoke('new.lab');
    await pair.sync();
    expect([(await revokedIn(spare())).length, saying('WARNING').length]).toEqual([1, 1]);
    await openssl('verify', '-CAfile', spare('ca_crt.pem'), spare('signed/n0.lab.pem'));
  });

  test('a new active that sends its whole CA with what it made while it was the spare, and back again', async () => {
    await pair.active.signMany(names(40));
    await pair.sync();
    await pair.spare.signMany(['made.lab', 'n7.lab']);
    await pair.compare();
    await pair.fetch();
    for (let turn = 0; turn < 2; turn += 1) {
      pair.activeSet.rebuild([], { epoch: { number: turn + 2, id: '0123456789abcdef' }, sequence: 0 });
      pair.restartActive();
      await pair.sync();
      await pair.compare();
      later(24);
    }
    expect((await readdir(spare('signed'))).sort()).toEqual((await readdir(active('signed'))).sort());
  });
});

describe('junk in signed/', () => {
  const long = `${'x'.repeat(220)}.lab`;
  const wide = `${'日'.repeat(75)}.lab`; // 233 bytes with ".pem": no room for a long name beside it

  test('blocks nothing: good certificates go live, names that no disk has room to write beside included', async () => {
    await pair.active.signMany(['good.lab', long, wide]);
    const good = await readFile(active('signed/good.lab.pem'));
    for (const name of [
      'good.lab.pem~',
      '.good.lab.pem.swp',
      'good.lab.pem.bak',
      '#good.lab.pem#',
      'good.lab.pem123tmp',
      'README',
    ])
      await writeFile(active('signed', name), good);
    await writeFile(active('signed/empty.pem'), '');
    await writeFile(active('signed/Copy of good.lab.pem'), good);
    await writeFile(active('signed/half.lab.pem'), good.subarray(0, 300));
    await writeFile(
      Buffer.concat([Buffer.from(active('signed/')), Buffer.from([0xff, 0xfe]), Buffer.from('.pem')]),
      good,
    );
    await writeFile(active('signed/a\nb\u001b[2J.pem'), good);
    await mkdir(active('signed/directory.pem'));
    const other = await createTestCa(join(pair.root, 'other'), { name: 'other' });
    await other.sign('foreign.lab');
    await copyFile(other.certificatePath('foreign.lab'), active('signed/foreign.lab.pem'));
    await pair.sync();
    expect((await readdir(spare('signed'))).sort()).toEqual(['good.lab.pem', `${long}.pem`, `${wide}.pem`].sort());
    const skipped = saying('WARNING').filter((line) => line.includes('Skipped'));
    expect(
      skipped
        .map((line) => /Skipped signed\/([^:]*):/.exec(line)?.[1])
        .filter((name) => name !== undefined)
        .sort(),
    ).toEqual(['Copy of good.lab.pem', 'empty.pem', 'foreign.lab.pem', 'half.lab.pem']);
    expect(saying('FAILURE')).toEqual([]);
    await pair.active.sign(long); // renewed: the one that it replaces goes into the archive
    await pair.active.sign('later.lab');
    await pair.sync();
    await pair.compare();
    expect(await readFile(spare('signed', `${long}.pem`))).toEqual(await readFile(active('signed', `${long}.pem`)));
    expect([(await readdir(spare('signed'))).length, await kept(), saying('FAILURE')]).toEqual([4, [], []]);
  });

  test('that is cleared away is no loss of certificates', async () => {
    await pair.active.signMany(names(12));
    const good = await readFile(active('signed/n0.lab.pem'));
    for (const name of names(40, 'junk')) await writeFile(active('signed', `${name}.pem`), good);
    await pair.sync();
    for (const name of names(40, 'junk')) await rm(active('signed', `${name}.pem`));
    await pair.sync();
    expect([(await readdir(spare('signed'))).length, await kept()]).toEqual([12, []]);
  });
});

describe('a CA that is another one is held', () => {
  test.each([['ends earlier than the one here', 30]])('though it has the same key: it %s', async (_title, days) => {
    pair.now = new Date();
    await pair.active.sign('a.lab');
    await pair.sync();
    await renewCa(days);
    await pair.sync();
    expect(await kept()).toEqual(['ca-changed open']);
    const [hold] = await pair.kept.list();
    expect(hold?.difference).toEqual([
      expect.stringMatching(/^- ca_crt\.pem: Puppet CA: lab until 2031-11-20, sha256 [0-9a-f]{64}; Puppet Root CA/),
      expect.stringMatching(/^\+ ca_crt\.pem: Puppet CA: lab until 20\d\d-\d\d-\d\d, sha256 /),
    ]);
    await rename(active('ca_crt.pem'), active('ca_crt.pem.bad'));
    await copyFile(spare('ca_crt.pem'), active('ca_crt.pem'));
    await pair.sync();
    expect(await kept()).toEqual([]);
  });
});
