import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, it } from 'vitest';
import { openHostileTree } from '../../src/system/beneath.ts';

const base = mkdtempSync(join(tmpdir(), 'beneath-test-'));
afterAll(() => rmSync(base, { recursive: true }));
let inbox = '';
let outside = '';
beforeEach(() => {
  const directory = mkdtempSync(join(base, 'd-'));
  [inbox, outside] = [join(directory, 'inbox'), join(directory, 'outside')];
  for (const path of [inbox, outside]) mkdirSync(join(path, 'inner'), { recursive: true });
  writeFileSync(join(outside, 'inner/secret'), 'root only');
  writeFileSync(join(inbox, 'inner/file'), 'content');
});

const refused = { class: 'bad-data' };

it('reads what is a file beneath it', async () => {
  await using tree = await openHostileTree(inbox);
  await expect(tree.readText('inner/file', 100)).resolves.toBe('content');
  await expect(tree.list(10)).resolves.toEqual(['inner/file']);
  await using inner = await tree.directory('inner');
  await expect(inner.names()).resolves.toEqual(['file']);
});

it('refuses links, to files and to directories, at every place of a path', async () => {
  symlinkSync(join(outside, 'inner/secret'), join(inbox, 'link'));
  symlinkSync(join(outside, 'inner'), join(inbox, 'linked'));
  await using tree = await openHostileTree(inbox);
  for (const path of ['link', 'linked/secret', 'linked'])
    await expect(tree.readText(path, 100), path).rejects.toMatchObject(refused);
  await expect(tree.directory('linked')).rejects.toMatchObject(refused);
  symlinkSync(inbox, `${inbox}-link`);
  await expect(openHostileTree(`${inbox}-link`)).rejects.toMatchObject(refused);
});

it('refuses a pipe at once, a directory, a missing file, and one that is too long', async () => {
  execFileSync('mkfifo', [join(inbox, 'pipe')]);
  writeFileSync(join(inbox, 'long'), '');
  truncateSync(join(inbox, 'long'), 101 * 1024 * 1024);
  await using tree = await openHostileTree(inbox);
  await expect(tree.openFile('pipe')).rejects.toMatchObject(refused);
  await expect(tree.openFile('inner')).rejects.toMatchObject(refused);
  await expect(tree.openFile('none')).rejects.toMatchObject({ ...refused, what: 'file is missing' });
  await expect(tree.readText('long', 100 * 1024 * 1024)).rejects.toMatchObject({
    ...refused,
    what: 'file is too long',
  });
  await expect(tree.list(10)).resolves.toContain('pipe');
});

it('stays where it was opened when a directory is exchanged for a link meanwhile', async () => {
  await using tree = await openHostileTree(inbox);
  await using inner = await tree.directory('inner');
  renameSync(join(inbox, 'inner'), join(inbox, 'moved'));
  symlinkSync(join(outside, 'inner'), join(inbox, 'inner'));
  await expect(inner.names()).resolves.toEqual(['file']);
  await inner.remove('file');
  await inner.remove('secret');
  await expect(tree.openFile('inner/secret')).rejects.toMatchObject(refused);
  expect(existsSync(join(inbox, 'moved/file'))).toBe(false);
  expect(readFileSync(join(outside, 'inner/secret'), 'utf8')).toBe('root only');
});

it('removes a link and not what it points to, a tree with all in it, and what is not there', async () => {
  mkdirSync(join(inbox, 'drop/a/b'), { recursive: true });
  writeFileSync(join(inbox, 'drop/a/b/c'), '');
  symlinkSync(join(outside, 'inner'), join(inbox, 'drop/a/link'));
  symlinkSync(outside, join(inbox, 'whole'));
  linkSync(join(outside, 'inner/secret'), join(inbox, 'drop/hard'));
  await using tree = await openHostileTree(inbox);
  for (const name of ['drop', 'whole', 'none']) await tree.remove(name);
  await expect(tree.names()).resolves.toEqual(['inner']);
  expect(readFileSync(join(outside, 'inner/secret'), 'utf8')).toBe('root only');
});

it('counts names, and does not go down without end', async () => {
  for (let n = 0; n < 12; n += 1) writeFileSync(join(inbox, `file-${n}`), '');
  await using tree = await openHostileTree(inbox);
  await expect(tree.list(10)).rejects.toMatchObject({ ...refused, what: 'too many files' });
  nest(25, 'd'.repeat(200)); // a path longer than the system takes in one word
  await expect(tree.list(1000)).rejects.toMatchObject({ ...refused, what: 'nested too deep' });
  await tree.remove('d'.repeat(200));
  for (let n = 0; n < 12; n += 1) mkdirSync(join(inbox, `directory-${n}`));
  for (let n = 0; n < 12; n += 1) rmSync(join(inbox, `file-${n}`));
  await expect(tree.list(10)).rejects.toMatchObject({ ...refused, what: 'too many files' });
});

/** A directory in a directory in a directory ... in the inbox: built from the innermost one. */
function nest(levels: number, name: string): void {
  const [made, outer] = [join(outside, 'made'), join(outside, 'outer')];
  mkdirSync(made);
  for (let level = 1; level < levels; level += 1) {
    mkdirSync(outer);
    writeFileSync(join(outer, 'file'), '');
    renameSync(made, join(outer, name));
    renameSync(outer, made);
  }
  renameSync(made, join(inbox, name));
}

async function mostDescriptors(work: () => Promise<unknown>): Promise<number> {
  let most = 0;
  const looking = setInterval(() => (most = Math.max(most, readdirSync('/proc/self/fd').length)), 1);
  await work().finally(() => clearInterval(looking));
  return most;
}

it('refuses and removes what is nested 5,000 deep with a few descriptors', async () => {
  nest(5000, 'd');
  const before = readdirSync('/proc/self/fd').length;
  await using tree = await openHostileTree(inbox);
  const most = await mostDescriptors(async () => {
    await expect(tree.list(100_000)).rejects.toMatchObject({ ...refused, what: 'nested too deep' });
    await tree.remove('d');
  });
  expect(most).toBeLessThan(before + 400);
  await expect(tree.names()).resolves.toEqual(['inner']);
});

it('of very many names tells some, and removes them all', async () => {
  mkdirSync(join(inbox, 'many'));
  for (let n = 0; n < 12_000; n += 1) mkdirSync(join(inbox, 'many', `${n}`));
  for (let n = 0; n < 100; n += 1) writeFileSync(join(inbox, 'many', `${n}`, 'file'), '');
  await using tree = await openHostileTree(inbox);
  {
    await using many = await tree.directory('many');
    await expect(many.names()).resolves.toHaveLength(10_000);
  }
  await tree.remove('many');
  await expect(tree.names()).resolves.toEqual(['inner']);
});

it('removes names that are no text', async () => {
  const name = Buffer.concat([Buffer.from(`${inbox}/drop/`), Buffer.from([0xff, 0xfe, 0x2d])]);
  mkdirSync(join(inbox, 'drop'));
  mkdirSync(name);
  writeFileSync(Buffer.concat([name, Buffer.from('/'), Buffer.from([0xc3])]), '');
  writeFileSync(Buffer.concat([Buffer.from(`${inbox}/`), Buffer.from([0xff])]), '');
  await using tree = await openHostileTree(inbox);
  for (const each of await tree.names()) await tree.remove(each);
  await expect(tree.names()).resolves.toEqual([]);
});

it('makes a directory where a link stands, and leaves alone what that leads to', async () => {
  symlinkSync(outside, join(inbox, 'stream'));
  chmodSync(outside, 0o755);
  await using tree = await openHostileTree(inbox);
  await using stream = await tree.make('stream', { mode: 0o700 });
  await using _ready = await stream.make('ready', { mode: 0o750 });
  expect(readdirSync(outside)).toEqual(['inner']);
  const modes = [outside, join(inbox, 'stream'), join(inbox, 'stream/ready')].map(
    (path) => statSync(path).mode & 0o777,
  );
  expect(modes).toEqual([0o755, 0o700, 0o750]);
});

const nobody = 65_534;
/** An owner of the inbox who exchanges what is made in it for a link to what he wants, again and again. */
const exchanging = `
  const { lstatSync, renameSync, symlinkSync, unlinkSync } = require('node:fs');
  const [inbox, wanted] = process.argv.slice(1);
  process.setgid(${nobody});
  process.setuid(${nobody});
  console.log('begun');
  for (let n = 0; ; n += 1) {
    try {
      symlinkSync(wanted, inbox + '/link');
    } catch {}
    try {
      renameSync(inbox + '/made', inbox + '/aside' + n);
      renameSync(inbox + '/link', inbox + '/made');
      unlinkSync(inbox + '/made');
    } catch {}
  }`;

it('gives to its new owner what it made, and never what a link in its place leads to', async (context) => {
  if (userInfo().uid !== 0) context.skip('only root may give a directory away');
  for (const path of [base, join(inbox, '..')]) chmodSync(path, 0o755);
  chownSync(inbox, nobody, nobody);
  const enemy = spawn(process.execPath, ['-e', exchanging, inbox, outside], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(enemy, 'exit');
  try {
    await once(enemy.stdout, 'data');
    const end = performance.now() + 3_000;
    while (performance.now() < end) {
      await using tree = await openHostileTree(inbox);
      const made = await tree.make('made', { mode: 0o700, uid: nobody, gid: nobody }).catch(() => undefined);
      await made?.[Symbol.asyncDispose]();
      expect(statSync(outside).uid).toBe(0);
    }
  } finally {
    enemy.kill('SIGKILL');
    await ended;
  }
});
