import { imageDirectory } from './image.ts';
import { clearLab, knownLabs } from './lab.ts';
import { takeNumbers } from './numbers.ts';
import { packageDirectory } from './program.ts';

const say = (line: string): void => void process.stderr.write(`lab: ${line}\n`);
const ofTests = async (): Promise<string[]> => (await knownLabs()).filter((name) => name.startsWith('test'));

/** Builds what all hosts share, once; ends what an earlier run left. */
export async function setup(): Promise<void> {
  takeNumbers();
  for (const name of await ofTests()) await clearLab(name, say);
  await imageDirectory(say);
  await packageDirectory(say);
}

export async function teardown(): Promise<void> {
  for (const line of takeNumbers()) say(line);
  for (const name of await ofTests()) await clearLab(name, say);
}
