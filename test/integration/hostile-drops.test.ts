import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readSigned, takeOver } from '../../src/drops/take-over.ts';
import type { Job } from '../../src/jobs/job.ts';
import { openHostileTree, type HostileTree } from '../../src/system/beneath.ts';
import { exec } from '../../src/system/exec.ts';
import { syncFilesOf, updatePassiveFilesOf } from '../helpers/files-pair.ts';
import { program, startPair, type TestPair } from '../helpers/pair.ts';
import { epochId, file, linkTo, payload, pipe, plantDrop, replace, type Plant } from '../helpers/planted-drops.ts';
import { snapshot } from '../helpers/trees.ts';

let pair: TestPair;
let sync: Job;
let update: Job;

beforeAll(async () => {
  pair = await startPair();
  sync = syncFilesOf(pair.a, pair.sender().delivery);
  update = updatePassiveFilesOf(pair.b, pair.spare);
  for (const name of ['one', 'two']) secret(name, name);
  await honest();
  secret('two', 'second');
  await honest();
});
afterAll(() => pair[Symbol.asyncDispose]());

const secrets = (master: 'a' | 'b'): string => join(pair[master].root, 'etc/puppetlabs/secrets');
const ready = (): string => join(pair.b.paths.inbox, 'sync-files/ready');
function secret(name: string, text: string): void {
  mkdirSync(secrets('a'), { recursive: true });
  writeFileSync(join(secrets('a'), name), text);
}

const published = (): string[] => readdirSync(ready()).filter((name) => name.includes('-'));

/** One pass of the active, with `apply` on the spare whenever something lies there. */
async function honest(apply: () => Promise<unknown> = () => update.run(pair.context(pair.b))): Promise<unknown> {
  let sending = true;
  const sent = sync.run(pair.context(pair.a)).finally(() => (sending = false));
  sent.catch(() => undefined); // awaited below
  while (sending) {
    if (published().length > 0) await apply();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return await sent;
}

const plant = (what: Plant): void => plantDrop(ready(), pair.a, what);

const some: (() => Plant)[] = [
  () => ({ signature: pair.b.signer.sign('manifest', 'x') }),
  () => ({ manifest: { files: [file('../../../../etc/planted')] } }),
  () => ({ spoil: (d) => truncateSync(join(d, 'manifest.json'), 65 * 1024 * 1024) }),
  () => ({ spoil: replace(payload, pipe) }),
  () => ({
    spoil: replace(
      payload,
      linkTo(() => join(secrets('b'), 'one')),
    ),
  }),
  () => ({ name: `0.${epochId}-50`, manifest: { epoch: { number: 0, id: epochId } } }),
];

describe('a drop', () => {
  afterEach(() => expect(readdirSync(join(pair.b.paths.taken, 'sync-files'))).toEqual([]));

  it('that is honest passes where many hostile ones lie before it', async () => {
    for (const [n, make] of Array.from({ length: 6 }, () => some)
      .flat()
      .entries()) {
      const { name, ...rest } = make();
      plant({ ...rest, name: (name ?? '').startsWith('0.') ? (name ?? '') : `1.${epochId}-${60 + n}` });
    }
    secret('three', `${Math.random()}`);
    // On a loaded machine root's word on so many comes later than the push waits for it.
    await expect(honest()).resolves.toMatchObject({ kind: expect.stringMatching(/^(done|waiting)$/) as string });
    expect(snapshot(secrets('b'))).toEqual(snapshot(secrets('a')));
  });

  it('whose manifest is exchanged after it was verified is taken as it was verified', async () => {
    plant({});
    const name = `1.${epochId}-50`;
    const [path, kept] = [join(ready(), name, 'manifest.json'), join(pair.b.root, 'taken')];
    const verified = readFileSync(path, 'utf8');
    await using tree = await openHostileTree(join(ready(), name));
    const exchanging: HostileTree = {
      ...tree,
      list: (limit) => {
        writeFileSync(path, verified.replace('secrets/planted', 'secrets/unsigned'));
        return tree.list(limit);
      },
    };
    const { certname: source, signingKey } = pair.a.pairing;
    const target = pair.b.certname;
    const signed = await readSigned(exchanging, { stream: 'sync-files', name, source, target, signingKey });
    await takeOver(exchanging, join(kept, name), signed);
    expect(readFileSync(join(kept, name, 'manifest.json'), 'utf8')).toBe(verified);
    rmSync(join(ready(), name), { recursive: true });
  });

  it('under a number that was never given out does not keep the word on later drops from the active', async () => {
    plant({ name: `1.${epochId}-99999`, signature: 'none' });
    await update.run(pair.context(pair.b));
    secret('late', `${Math.random()}`);
    const late = async (): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 2_200)); // longer than a push waits for its receipt
      await update.run(pair.context(pair.b));
    };
    await expect(honest(late)).resolves.toMatchObject({ kind: 'done' });
    expect(snapshot(secrets('b'))).toEqual(snapshot(secrets('a')));
  });

  it('that is spoiled on its way is refused, and sent again whole', async () => {
    secret('four', `${Math.random()}`);
    let spoiled = false;
    const outcome = await honest(async () => {
      const [name = ''] = published();
      if (!spoiled) writeFileSync(join(ready(), name, 'etc/puppetlabs/secrets/four'), 'spoiled');
      spoiled = true;
      await update.run(pair.context(pair.b));
    });
    expect(outcome).toMatchObject({ kind: 'done' });
    expect(pair.a.log.lines.findLast((line) => line.startsWith('[WARNING]'))).toMatch(
      /The spare refused a drop: .*its content is not/,
    );
    expect(snapshot(secrets('b'))).toEqual(snapshot(secrets('a')));
  });

  it('that is spoiled each time is a failure at the active, with the reason', async () => {
    secret('five', `${Math.random()}`);
    const before = snapshot(secrets('b'));
    const failed = honest(async () => {
      for (const name of published()) writeFileSync(join(ready(), name, 'etc/puppetlabs/secrets/five'), 'spoiled');
      await update.run(pair.context(pair.b));
    });
    await expect(failed).rejects.toMatchObject({
      class: 'bad-data',
      why: expect.stringContaining('its content is not') as string,
    });
    expect(snapshot(secrets('b'))).toEqual(before);
    await honest();
    expect(snapshot(secrets('b'))).toEqual(snapshot(secrets('a')));
  });

  it('lies in a ready/ that is a link: nothing behind the link is read or removed', async () => {
    const kept = join(pair.b.paths.archive, 'sync-files');
    const before = snapshot(kept);
    expect(Object.keys(before)).not.toEqual([]);
    rmSync(ready(), { recursive: true });
    symlinkSync(kept, ready());
    await expect(update.run(pair.context(pair.b))).rejects.toMatchObject({
      class: 'bad-data',
      message: expect.stringContaining('ready') as string,
    });
    expect(snapshot(kept)).toEqual(before);
    rmSync(ready());
    mkdirSync(ready());
  });
});

it.each(['a;reboot', '$(reboot)', 'a b', 'a\nb', '../etc', 'a..b', '-a', ''])(
  'receive refuses the certname %j',
  async (certname) => {
    const result = await exec({
      file: program,
      args: ['receive', '--peer', certname, '--root', pair.b.root],
      accept: [64],
      timeoutMs: 10_000,
    });
    expect(result.exitCode).toBe(64);
    expect(result.stdout).toBe('');
  },
);
