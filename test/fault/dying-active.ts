// One pass of the active's fetch of what the spare made, killed by SIGKILL at one point: argv = root, step, when.
// made.json in root is what the spare says.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createFetchMadeHere } from '../../src/jobs/fetch-made-here.ts';
import { parseMadeHere } from '../../src/rules/made-here.ts';
import { contextOf } from '../helpers/ca-pair.ts';
import { fetchTools } from '../helpers/made-here.ts';

const [root = '', step = '', when = ''] = process.argv.slice(2);
const die = (): void => void process.kill(process.pid, 'SIGKILL');

const made = parseMadeHere(JSON.parse(await readFile(join(root, 'made.json'), 'utf8')));
const tools = fetchTools(
  root,
  () => made,
  () => undefined,
);
const { journal } = tools;
const lethal = {
  ...journal,
  record: async (line: Parameters<typeof journal.record>[0]): Promise<void> => {
    if (when === 'before' && line.step === step) die();
    await journal.record(line);
    if (when === 'after' && line.step === step) die();
    if (when === 'during' && line.step === step) setImmediate(() => setImmediate(die));
  },
  close: async (): Promise<void> => {
    const open = (await journal.open()) !== undefined;
    if (step === 'end' && when === 'before' && open) die();
    await journal.close();
    if (step === 'end' && when === 'after' && open) die();
  },
};
const log: string[] = [];
const { why } = await createFetchMadeHere({ ...tools, journal: lethal }).run(contextOf(log, 'start'));
console.log(why);
