import type { Lock } from '../../src/system/lock.ts';
import { imageDirectory } from './image.ts';
import { clearTests, lockTests } from './lab.ts';
import { takeNumbers } from './numbers.ts';
import { packageDirectory } from './program.ts';

const say = (line: string): void => void process.stderr.write(`lab: ${line}\n`);
let lock: Lock | undefined;

/** Builds what all hosts share, once; ends what an earlier run left. One run at a time: it would end another one's hosts. */
export async function setup(): Promise<void> {
  lock = await lockTests();
  takeNumbers();
  await clearTests(say);
  await imageDirectory(say);
  await packageDirectory(say);
}

export async function teardown(): Promise<void> {
  for (const line of takeNumbers()) say(line);
  await clearTests(say);
  await lock?.release();
}
