import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { completed, secretOf, type AgentPair } from './agents.ts';
import { processes, pushing, type Process, type RootedPair } from './hunted.ts';
import { pathsBelow } from './pair.ts';
import { until } from './trees.ts';

/** For the configuration: a push of `change` takes about two seconds. */
export const limited = 'transfer: {bandwidth_limit: 2MB}\n';
const bytes = 4_000_000;

/** Something that cannot be sent in a moment. */
export const change = ({ a }: AgentPair): void => writeFileSync(secretOf(a), randomBytes(bytes));

const isSame = ({ a, b }: AgentPair): boolean => readFileSync(secretOf(a)).equals(readFileSync(secretOf(b)));

const arrivedBytes = ({ root }: RootedPair['b']): number => {
  const staging = join(pathsBelow(root).inbox, 'sync-files/staging');
  if (!existsSync(staging)) return 0;
  const sizes = readdirSync(staging, { recursive: true, encoding: 'utf8' }).map(
    (name) => statSync(join(staging, name), { throwIfNoEntry: false })?.size ?? 0,
  );
  return sizes.reduce((sum, size) => sum + size, 0);
};

/** Who takes part in the push that is half done now. */
export async function inTheMiddle(pair: RootedPair, who: keyof typeof pushing): Promise<Process> {
  let found: Process | undefined;
  await until(`${who} in the middle of a push`, () => {
    if (arrivedBytes(pair.b) < bytes / 10) return false;
    found = pushing[who](pair, processes());
    return found !== undefined;
  });
  if (found === undefined) throw new Error(`${who} is not there`);
  if (arrivedBytes(pair.b) > bytes * 0.9) throw new Error('too late: the push is done');
  return found;
}

/** Until the spare has it and the active knows. */
export async function arrives(pair: AgentPair, timeoutMs = 30_000): Promise<void> {
  await pair.a.says(completed, timeoutMs);
  if (!isSame(pair)) throw new Error('the spare has something else');
}
