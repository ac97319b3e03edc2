import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFailed } from 'vitest';
import { eventually } from './eventually.ts';
import { openLab, type Lab } from './lab.ts';
import { asMaster, bootstrapPair, isServing, untilAgreed, type LabPair } from './pair.ts';
import { cache } from './places.ts';

const name = 'test-full';
const mark = join(cache, `lab-${name}`, 'whole');
const say = (line: string): void => void process.stderr.write(`lab: ${line}\n`);

/**
 * Two masters with everything that a site has, puppetserver on both. It takes minutes to install, so all test files of a
 * run use one; the lab is cleared at the end of the run.
 */
export async function fullPair(): Promise<LabPair> {
  const lab = await openLab(name, { say });
  if (existsSync(mark)) return await reopen(lab);
  await lab.down({ wipe: true });
  const pair = await bootstrapPair(await openLab(name, { say }), say);
  await writeFile(mark, '');
  return pair;
}

async function reopen(lab: Lab): Promise<LabPair> {
  const pair = { lab, a: asMaster(lab.host('mastera')), b: asMaster(lab.host('masterb')) };
  await lab.network.heal();
  await Promise.all([pair.a.boot(), pair.b.boot()]);
  for (const master of [pair.a, pair.b]) await untilServing(master);
  await untilAgreed(pair);
  return pair;
}

export const untilServing = (host: Parameters<typeof isServing>[0]): Promise<unknown> =>
  eventually(`puppetserver of ${host.name} serves`, () => isServing(host), { withinMs: 300_000, everyMs: 500 });

/** A scenario that failed may leave anything behind: the next file installs its pair anew. */
export const distrustIfFailed = (): void => onTestFailed(() => rm(mark, { force: true }));
