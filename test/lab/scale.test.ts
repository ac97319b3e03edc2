import { readdirSync, readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCertificates, readCrls } from '../../src/system/certificates.ts';
import { issueCrl } from '../../src/system/crl-issuing.ts';
import { exec } from '../../src/system/exec.ts';
import { eventually } from './eventually.ts';
import { createGroups, untilGroupsEqual } from './groups.ts';
import { startLightPair, untilCaEqual, type LightPair } from './light-pair.ts';
import { report } from './numbers.ts';
import { everything, untilAgreed, type LabMaster } from './pair.ts';
import { psql, rbac } from './provision.ts';

let pair: LightPair;
beforeAll(async () => {
  pair = await startLightPair('scale', { configuration: everything, withConsole: true });
}, 300_000);
afterAll(() => pair[Symbol.asyncDispose]());

describe('a large site', () => {
  it('with 20,000 certificates: the spare has them all, and one more is there as fast as ever', async () => {
    const { ca, a } = pair;
    const start = performance.now();
    for (let n = 0; n < 20; n += 1) await ca.signMany(Array.from({ length: 1_000 }, (_, m) => `n${n * 1_000 + m}.lab`));
    report('20,000 certificates signed', performance.now() - start);
    report('then all of them on the spare', await untilCaEqual(pair, 300_000));
    expect(readdirSync(join(a.cadir, 'signed')).length).toBeGreaterThan(20_000);
    for (let n = 0; n < 10; n += 1) {
      await ca.sign(`one-of-many-${n}.lab`);
      const at = performance.now();
      await eventually('it is there', () => readdirOf(pair.b).has(`one-of-many-${n}.lab.pem`), { everyMs: 2 });
      report('sign to live among 20,000', performance.now() - at);
    }
  }, 900_000);

  it('with a CRL of 50,000 entries: a revocation is there', async () => {
    const { a, b } = pair;
    const path = join(a.cadir, 'ca_crl.pem');
    const [own, ...others] = readCrls(readFileSync(path), path);
    const [authority] = readCertificates(readFileSync(join(a.cadir, 'ca_crt.pem')), 'ca_crt.pem');
    const revoked = new Map(
      Array.from({ length: 50_000 }, (_, n) => [BigInt(1_000_000_000 + n), '261121000000Z'] as const),
    );
    const number = (own?.number ?? 0n) + 1n;
    const keyPath = join(a.cadir, 'ca_key.pem');
    const work = join(a.path('/tmp'), 'crl');
    const pem = await issueCrl(exec, {
      certificatePem: authority?.x509.toString() ?? '',
      keyPath,
      number,
      revoked,
      work,
    });
    await writeFile(`${path}123tmp`, `${pem.trim()}\n${others.map((crl) => `${crl.pem.trim()}\n`).join('')}`);
    const at = performance.now();
    await rename(`${path}123tmp`, path);
    await eventually('the list is there', () => readFileSync(join(b.cadir, 'ca_crl.pem')).equals(readFileSync(path)), {
      withinMs: 60_000,
      everyMs: 10,
    });
    report('a CRL of 50,000 entries until live', performance.now() - at);
  }, 300_000);

  it('with 1,000 node groups: an edit is there', async () => {
    const { a, b } = pair;
    await createGroups(a, 'group', 1, 1_000);
    const at = performance.now();
    await untilGroupsEqual(a, b);
    report('the last of 1,000 groups until live', performance.now() - at);
  }, 600_000);

  it('with a pe-rbac of 500 MB: it goes live', async () => {
    const { a, b } = pair;
    const rows = 'SELECT n AS id, repeat(md5(n::text), 4) AS text FROM generate_series(1, 3500000) n';
    await psql(a, rbac, `SET ROLE "pe-rbac"; CREATE TABLE large AS ${rows}`, 600_000);
    const at = performance.now();
    await b.syslog.says(/restore_dbs\.sh ---> \[SUCCESS\] Completed restore of database pe-rbac/, 900_000);
    report('500 MB more in pe-rbac until live', performance.now() - at);
    await untilAgreed(pair, 300_000);
    expect(await psql(b, rbac, 'SELECT count(*) FROM large')).toBe('3500000');
  }, 1_800_000);
});

const readdirOf = (host: LabMaster): Set<string> => new Set(readdirSync(join(host.cadir, 'signed')));
