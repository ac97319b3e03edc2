import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { acquireLock, type Lock } from '../../src/system/lock.ts';
import { imageDirectory } from './image.ts';
import { clearLab, knownLabs } from './lab.ts';
import { takeNumbers } from './numbers.ts';
import { cache } from './places.ts';
import { packageDirectory } from './program.ts';

const say = (line: string): void => void process.stderr.write(`lab: ${line}\n`);
const ofTests = async (): Promise<string[]> => (await knownLabs()).filter((name) => name.startsWith('test'));

let lock: Lock | undefined;

/** Builds what all hosts share, once; ends what an earlier run left. One run at a time: it would end another one's hosts. */
export async function setup(): Promise<void> {
  await mkdir(cache, { recursive: true });
  lock = await acquireLock(join(cache, 'tests.lock'), 'tests of the lab');
  takeNumbers();
  for (const name of await ofTests()) await clearLab(name, say);
  await imageDirectory(say);
  await packageDirectory(say);
}

export async function teardown(): Promise<void> {
  for (const line of takeNumbers()) say(line);
  for (const name of await ofTests()) await clearLab(name, say);
  await lock?.release();
}
