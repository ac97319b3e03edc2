// One pass of the spare's CA job over a drop that is on disk, killed by SIGKILL at one point: argv = root, step, when.
// A file `asked` in root holds the fingerprint of the CA that is to be adopted.
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createUpdatePassiveCa } from '../../src/jobs/update-passive-ca/index.ts';
import type { Manifest } from '../../src/rules/manifest.ts';
import type { Journal } from '../../src/system/journal.ts';
import { readIfThere } from '../../src/system/files.ts';
import { contextOf, openSpare } from '../helpers/ca-pair.ts';

const [root = '', step = '', when = ''] = process.argv.slice(2);
const die = (): void => void process.kill(process.pid, 'SIGKILL');

const lethal = (journal: Journal): Journal => ({
  ...journal,
  record: async (line) => {
    if (when === 'before' && line.n === Number(step)) die();
    await journal.record(line);
    if (when === 'after' && line.n === Number(step)) die();
    if (when === 'during' && line.n === Number(step)) setImmediate(() => setImmediate(die));
  },
  close: async () => {
    const open = await journal.open();
    if (step === 'end' && when === 'before' && open !== undefined && started) die();
    await journal.close();
    if (step === 'end' && when === 'after' && open !== undefined && started) die();
    started = true;
  },
});
let started = false; // the first close is the pass's own, before it applies

const directory = join(root, 'drop');
const manifest = JSON.parse(await readFile(join(root, 'drop.json'), 'utf8')) as Manifest;
let settled = '';
const intake = {
  next: () => Promise.resolve(settled === '' ? { manifest, directory } : undefined),
  report: () => Promise.resolve(),
  settle: (_drop: unknown, { state, why }: { state: string; why: string }) => {
    settled = `${state}: ${why}`;
    return Promise.resolve();
  },
};
const holds = {
  raise: () => Promise.resolve('hold'),
  isReleased: () => Promise.resolve(false),
  list: () => Promise.resolve([]),
  close: () => Promise.resolve(),
  closeOthers: () => Promise.resolve(),
};
const { tools, set } = await openSpare(root, intake, holds, lethal);
const log: string[] = [];
const request = {
  wanted: () => readIfThere(join(root, 'asked')),
  done: async () => {
    await rm(join(root, 'asked'));
    if (step === 'asked') die();
  },
};
const adoption = { ...tools.adoption, request };
await createUpdatePassiveCa({ ...tools, adoption }).run(contextOf(log, 'start'));
set.close();
console.log(settled);
