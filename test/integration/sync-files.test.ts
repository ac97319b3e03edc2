import { chmodSync, chownSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openAcceptedSet } from '../../src/system/accepted-set.ts';
import { readAccounts } from '../../src/system/accounts.ts';
import {
  passOfBoth,
  readSecret as read,
  secretsOf as secrets,
  syncFilesOf,
  updatePassiveFilesOf,
  writeSecret as write,
} from '../helpers/files-pair.ts';
import { factHash, startPair, type TestMaster } from '../helpers/pair.ts';

test('a file that the admin lists is live on the spare, verified, and an unchanged one costs no push', async () => {
  await using pair = await startPair();
  const { a, b, spare } = pair;
  const sync = syncFilesOf(a, pair.sender().delivery);
  const update = updatePassiveFilesOf(b, spare);
  const pass = () => passOfBoth(pair, sync, () => update.run(pair.context(b)));

  write(a, 'keys.json', '[1]', 0o600);
  write(a, 'deep/er/ad.pem', 'chain');
  await pass();
  expect(read(b, 'keys.json')).toBe('[1]');
  expect(read(b, 'deep/er/ad.pem')).toBe('chain');
  expect(statSync(join(secrets(b), 'keys.json')).mode & 0o777).toBe(0o600);
  expect(a.log.lines.at(-1)).toMatch(/^\[SUCCESS\] Completed sync of files/);

  await expect(sync.run(pair.context(a))).resolves.toMatchObject({ kind: 'unchanged' });

  write(a, 'keys.json', '[2]', 0o600);
  rmSync(join(secrets(a), 'deep/er/ad.pem'));
  await pass();
  expect(read(b, 'keys.json')).toBe('[2]');
  expect(() => read(b, 'deep/er/ad.pem')).toThrow('ENOENT');
  expect(
    readFileSync(join(b.paths.archive, 'sync-files/1.00c0ffee00c0ffee-2/etc/puppetlabs/secrets/keys.json'), 'utf8'),
  ).toBe('[1]');

  writeFileSync(join(secrets(b), 'keys.json'), 'edited on the spare');
  await expect(update.run(pair.context(b))).resolves.toMatchObject({ why: '1 file put back' });
  expect(read(b, 'keys.json')).toBe('[2]');
});

test('an unchanged set is confirmed, so that the spare knows how fresh it is; a forged confirm counts for nothing', async () => {
  await using pair = await startPair();
  const { a, b, spare } = pair;
  const sync = syncFilesOf(a, pair.sender().delivery);
  const update = updatePassiveFilesOf(b, spare);
  const ready = join(b.paths.inbox, 'sync-files/ready');
  write(a, 'keys.json', '[1]');
  await passOfBoth(pair, sync, () => update.run(pair.context(b)));

  const path = join(a.paths.streams, 'sync-files.json');
  const known = JSON.parse(readFileSync(path, 'utf8')) as { digest: string; confirmedAt: string };
  writeFileSync(path, JSON.stringify({ ...known, confirmedAt: new Date(Date.now() - 120_000).toISOString() }));
  await expect(sync.run(pair.context(a))).resolves.toMatchObject({ kind: 'unchanged' });
  const confirm = readFileSync(join(ready, 'confirm'), 'utf8');
  await update.run(pair.context(b));
  const confirmed = join(b.paths.streams, 'sync-files.confirmed.json');
  expect(JSON.parse(readFileSync(confirmed, 'utf8'))).toMatchObject({ digest: known.digest });

  rmSync(confirmed);
  writeFileSync(join(ready, 'confirm'), confirm.replace(known.digest.slice(-8), '00000000'));
  await update.run(pair.context(b));
  expect(readdirSync(b.paths.streams)).not.toContain('sync-files.confirmed.json');
  expect(readdirSync(ready)).toEqual([]);
  expect(b.log.lines.at(-1)).toMatch(/^\[WARNING\] confirm refused/);
});

const modeOf = (master: TestMaster, name: string): string =>
  (statSync(join(secrets(master), name)).mode & 0o777).toString(8);

test('a directory that keeps others out does so on the spare too, also when it is made again there', async () => {
  await using pair = await startPair();
  const { a, b, spare } = pair;
  const sync = syncFilesOf(a, pair.sender().delivery);
  const update = updatePassiveFilesOf(b, spare);
  write(a, 'private/deep/readable', '1', 0o644);
  write(a, 'shared/readable', '1', 0o644);
  for (const [name, mode] of [
    ['private', 0o700],
    ['private/deep', 0o755],
    ['shared', 0o750],
  ] as const)
    // prettier-ignore
    chmodSync(join(secrets(a), name), mode);
  await passOfBoth(pair, sync, () => update.run(pair.context(b)));
  const modes = ['private', 'private/deep', 'private/deep/readable', 'shared'].map((name) => modeOf(b, name));
  expect(modes).toEqual(['700', '755', '644', '750']);

  rmSync(join(secrets(b), 'shared'), { recursive: true });
  await update.run(pair.context(b));
  expect([modeOf(b, 'shared'), read(b, 'shared/readable')]).toEqual(['750', '1']);
});

test('a file that is put back has the owner and the group that it came with, and so has its directory', async (context) => {
  if (process.getuid?.() !== 0) context.skip('only root may give files away');
  await using pair = await startPair();
  const { a, b, spare } = pair;
  const accounts = await readAccounts();
  const [uid, gid] = [accounts.uid('daemon') ?? 0, accounts.gid('daemon') ?? 0];
  const update = updatePassiveFilesOf(b, spare);
  write(a, 'given/away', '1', 0o600);
  for (const name of ['given', 'given/away']) chownSync(join(secrets(a), name), uid, gid);
  await passOfBoth(pair, syncFilesOf(a, pair.sender().delivery), () => update.run(pair.context(b)));

  rmSync(join(secrets(b), 'given'), { recursive: true });
  await expect(update.run(pair.context(b))).resolves.toMatchObject({ why: '1 file put back' });
  for (const name of ['given', 'given/away']) expect(statSync(join(secrets(b), name))).toMatchObject({ uid, gid });
  expect(uid).not.toBe(0);
});

test('a receipt that comes late is as good: the active knows what the spare has, and sends changes only', async () => {
  await using pair = await startPair();
  const { a, b, spare } = pair;
  const sync = syncFilesOf(a, pair.sender().delivery);
  const update = updatePassiveFilesOf(b, spare);
  write(a, 'one', '1');
  write(a, 'two', '2');
  const leaving = new AbortController(); // the spare's agent is down: the drop is published, and nobody answers
  const gone = (): Promise<void> => Promise.resolve(leaving.abort());
  await expect(passOfBoth(pair, sync, gone, { leaving: leaving.signal })).resolves.toMatchObject({ kind: 'waiting' });
  await update.run(pair.context(b));
  await expect(sync.run(pair.context(a))).resolves.toMatchObject({ kind: 'done' });
  const set = openAcceptedSet(join(a.paths.state, 'sync-files.db'));
  expect([set.count(), set.reference()]).toEqual([2, { epoch: pair.epoch, sequence: 1 }]);
  set.close();

  write(a, 'two', '3');
  await passOfBoth(pair, sync, () => update.run(pair.context(b)));
  const [drop = ''] = readdirSync(join(a.paths.outbox, 'sync-files'));
  const manifest = readFileSync(join(a.paths.outbox, 'sync-files', drop, 'manifest.json'), 'utf8');
  expect(JSON.parse(manifest)).toMatchObject({ kind: 'delta', files: [{ path: 'etc/puppetlabs/secrets/two' }] });
});

test('an edit on the spare is kept before it is put back, as often as the limit says, and only while this is the spare', async () => {
  await using pair = await startPair();
  const { a, b, spare } = pair;
  const sync = syncFilesOf(a, pair.sender().delivery);
  const update = updatePassiveFilesOf(b, spare, undefined, 2);
  const replaced = join(b.paths.archive, 'replaced-files');
  write(a, 'one', '1');
  await passOfBoth(pair, sync, () => update.run(pair.context(b)));
  for (const edit of ['first edit', 'second edit', 'third edit']) {
    write(b, 'one', edit);
    await expect(update.run(pair.context(b))).resolves.toMatchObject({ why: '1 file put back' });
  }
  const kept = readdirSync(replaced).map((time) =>
    readFileSync(join(replaced, time, 'etc/puppetlabs/secrets/one'), 'utf8'),
  );
  expect(kept).toEqual(['second edit', 'third edit']);
  expect(b.log.lines.at(-1)).toContain(replaced);

  write(b, 'one', 'an edit after the role was left');
  await spare.gate.write({ role: 'active', epoch: { number: 2, id: '00c0ffee00c0ffee' }, fact: factHash(b) });
  await expect(update.run(pair.context(b))).rejects.toThrow();
  expect(read(b, 'one')).toBe('an edit after the role was left');
});

test('half a secret and a half-made directory that a killed pass left are gone after the next start; nothing else is', async () => {
  await using pair = await startPair();
  const { a, b, spare } = pair;
  const update = updatePassiveFilesOf(b, spare);
  write(a, 'deep/key', 'secret');
  await passOfBoth(pair, syncFilesOf(a, pair.sender().delivery), () => update.run(pair.context(b)));

  const left = [
    '.pe-failover-key.0123456789ab',
    'deep/.pe-failover-key.0123456789ab',
    '.pe-failover-deep.0123456789ab/x',
  ];
  for (const name of left) write(b, name, 'half a se');
  write(b, '.pe-failover-notes', "the admin's own");
  await update.run({ ...pair.context(b), cause: 'start' });
  expect(left.filter((name) => existsSync(join(secrets(b), name)))).toEqual([]);
  expect([read(b, 'deep/key'), read(b, '.pe-failover-notes')]).toEqual(['secret', "the admin's own"]);
});
