import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startPair, type TestMaster } from '../helpers/pair.ts';
import { syncFilesOf, updatePassiveFilesOf } from '../helpers/files-pair.ts';

const secrets = (master: TestMaster): string => join(master.root, 'etc/puppetlabs/secrets');

function write(master: TestMaster, name: string, text: string, mode = 0o640): void {
  mkdirSync(join(secrets(master), name, '..'), { recursive: true });
  writeFileSync(join(secrets(master), name), text, { mode });
}

const read = (master: TestMaster, name: string): string => readFileSync(join(secrets(master), name), 'utf8');

/** Runs the spare's job as soon as something lies in its inbox, as the agent does. */
async function both(send: Promise<unknown>, apply: () => Promise<unknown>, ready: string): Promise<void> {
  let sending = true;
  void send.catch(() => undefined).finally(() => (sending = false));
  while (sending) {
    if (readdirSync(ready).some((name) => name.includes('-'))) await apply();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await send;
}

test('a file that the admin lists is live on the spare, verified, and an unchanged one costs no push', async () => {
  await using pair = await startPair();
  const { a, b, spare } = pair;
  const sync = syncFilesOf(a, pair.sender().delivery);
  const update = updatePassiveFilesOf(b, spare);
  const ready = join(b.paths.inbox, 'sync-files/ready');
  const pass = (): Promise<void> => both(sync.run(pair.context(a)), () => update.run(pair.context(b)), ready);

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
  await both(sync.run(pair.context(a)), () => update.run(pair.context(b)), ready);

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
