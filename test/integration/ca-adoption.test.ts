import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { adoptionPointOfNoReturn, adoptionSteps, captureForAdoption } from '../../src/puppet/ca-adoption.ts';
import { hintedPath, resolveCaDirectory } from '../../src/puppet/ca.ts';
import { serialGap } from '../../src/rules/serial.ts';
import { readAccounts } from '../../src/system/accounts.ts';
import { readCertificates } from '../../src/system/certificates.ts';
import { exec } from '../../src/system/exec.ts';
import { createJournal, runOperation } from '../../src/system/journal.ts';
import { problemsOf } from '../helpers/ca-pair.ts';
import { createTestCa, openTestCa, type TestCa } from '../stand-in/ca.ts';

let root = '';
let active: TestCa;
let fingerprint = '';
const at = (...parts: string[]): string => join(root, ...parts);
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'pe-failover-adopt-'));
  active = await createTestCa(at('active'), { name: 'lab' });
  await active.signMany(['a.lab', 'b.lab']);
  fingerprint = readCertificates(await readFile(at('active', 'ca_crt.pem')), '')[0]?.fingerprint ?? '';
});
afterEach(() => rm(root, { recursive: true }));

async function adoption(isStopped = true) {
  const accounts = await readAccounts();
  const directory = at('payload');
  await mkdir(directory, { recursive: true });
  const files = await captureForAdoption({ cadir: at('active'), directory, fingerprint, accounts });
  const isServerStopped = () => Promise.resolve(isStopped);
  return { cadir: at('spare'), directory, files, fingerprint, accounts, date: '20261121T000000Z', isServerStopped };
}

const operation = (request: Awaited<ReturnType<typeof adoption>>) => ({
  job: 'adopt',
  run: 'adopt',
  args: {},
  steps: adoptionSteps(request),
  pointOfNoReturn: adoptionPointOfNoReturn,
});
const journal = () => createJournal(at('journal', 'adopt.jsonl'));

test('the first copy is a whole CA with its key that can sign, a gap above the active; the old one lies beside', async () => {
  await createTestCa(at('spare'), { name: 'old' });
  await runOperation(journal(), operation(await adoption()));
  expect(await problemsOf(at('spare'))).toEqual([]);
  expect(await (await openTestCa(at('spare'))).sign('c.lab')).toBe(5n + serialGap);
  expect((await stat(at('spare', 'ca_key.pem'))).mode & 0o777).toBe(0o640);
  expect(await readFile(at('spare.replaced-20261121T000000Z', 'ca_crt.pem'), 'utf8')).not.toBe(
    await readFile(at('spare', 'ca_crt.pem'), 'utf8'),
  );
  expect((await readdir(root)).sort()).toEqual([
    'active',
    'journal',
    'payload',
    'spare',
    'spare.replaced-20261121T000000Z',
  ]);
});

test('another CA than was asked for does not leave the active', async () => {
  const request = {
    cadir: at('active'),
    directory: at('payload'),
    fingerprint: 'ab'.repeat(32),
    accounts: await readAccounts(),
  };
  await expect(captureForAdoption(request)).rejects.toThrow(/the CA is another one/);
});

test('while puppetserver runs nothing is touched, and what was built beside is gone', async () => {
  await createTestCa(at('spare'), { name: 'old' });
  const before = await readFile(at('spare', 'ca_crt.pem'), 'utf8');
  await expect(runOperation(journal(), operation(await adoption(false)))).rejects.toThrow(/puppetserver still runs/);
  expect(await readFile(at('spare', 'ca_crt.pem'), 'utf8')).toBe(before);
});

describe('the CA directory', () => {
  const signal = new AbortController().signal;
  test('is what puppet says, with links resolved', async () => {
    await symlink(at('active'), at('link'));
    const puppet = at('puppet');
    await writeFile(puppet, `#!/bin/sh\n[ "$*" = "config print cadir --section server" ] && echo "${at('link')}"\n`, {
      mode: 0o755,
    });
    expect(await resolveCaDirectory(exec, { puppet }, signal)).toBe(at('active'));
    expect(await resolveCaDirectory(exec, { override: at('link'), puppet: '/none' }, signal)).toBe(at('active'));
  });

  test('that is missing is where it will be; a puppet that is missing says what to do', async () => {
    await symlink(at('active'), at('link'));
    expect(await resolveCaDirectory(exec, { puppet: '/none', override: join(at('link'), 'none/ca') }, signal)).toBe(
      join(at('active'), 'none/ca'),
    );
    await expect(resolveCaDirectory(exec, { puppet: at('no-puppet') }, signal)).rejects.toThrow(/could not be asked/);
  });

  test.each([
    ['/ca/signed/a.pem', 'signed/a.pem'],
    ['serial', 'serial'],
    ['/ca/ca_key.pem', undefined],
    ['/ca/requests/a.pem', undefined],
    ['/ca/signed/a.pem123tmp', undefined],
    ['/elsewhere/signed/a.pem', undefined],
    ['signed/../ca_key.pem', undefined],
  ])('a hint %s means %s', (hint, path) => expect(hintedPath('/ca', hint)).toBe(path));
});
