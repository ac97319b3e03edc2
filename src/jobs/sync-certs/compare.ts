import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { announcedCertificates, captureCa } from '../../puppet/ca-capture.ts';
import { hintedPath, listCa } from '../../puppet/ca.ts';
import { certnameOf, kindOf } from '../../rules/ca-paths.ts';
import { readAccounts } from '../../system/accounts.ts';
import type { PassContext } from '../job.ts';
import type { SyncCertsTools } from './index.ts';
import { openPaths, type Memory } from './memory.ts';

type CompareTools = Pick<SyncCertsTools, 'cadir' | 'set' | 'work' | 'excludeCerts' | 'spare'>;

const certificateWaitMs = 1_000;
const lookMs = 20;

/** Certificates that never travel: that they are not in a drop says nothing of them. */
export const excludedNames = ({ excludeCerts, spare }: Pick<CompareTools, 'excludeCerts' | 'spare'>): string[] => [
  ...excludeCerts,
  spare,
];

/** What of the CA may differ from what the spare has: all of it, or what the hints name. */
export async function pathsToCompare(
  tools: CompareTools,
  memory: Memory,
  context: PassContext,
  whole: boolean,
): Promise<string[]> {
  const names = excludedNames(tools);
  const excluded = (path: string): boolean => kindOf(path) === 'certificate' && names.includes(certnameOf(path));
  if (context.changed === undefined || whole) {
    const { paths, skipped } = await listCa(tools.cadir);
    for (const what of skipped) context.log.warning(`Skipped in the CA directory: ${what}`);
    const known = whole ? [] : [...tools.set.all()].map(({ path }) => path);
    return [...new Set([...paths, ...known])].filter((path) => !excluded(path));
  }
  const hinted = [...context.changed].map((hint) => hintedPath(tools.cadir, hint));
  for (const path of hinted) if (path !== undefined && !excluded(path)) memory.dirty.add(path);
  await waitForCertificate(tools, memory, context);
  return [...openPaths(memory)].filter((path) => !excluded(path));
}

// Signing writes serial, inventory, certificate: the first two alone are worth a short wait, not a drop of their own.
async function waitForCertificate(tools: CompareTools, memory: Memory, context: PassContext): Promise<void> {
  const lonely = (): boolean =>
    memory.dirty.size > 0 && [...memory.dirty].every((path) => ['serial', 'inventory'].includes(kindOf(path) ?? ''));
  const end = context.clock.monotonic() + certificateWaitMs;
  while (lonely()) {
    const size = tools.set.get('inventory.txt')?.size ?? 0;
    const directory = join(tools.work, 'capture', 'look');
    const paths = (await announcedCertificates(tools.cadir, size)).slice(-1000);
    const known = (path: string) => tools.set.get(path);
    const { changed } = await captureCa({
      cadir: tools.cadir,
      directory,
      paths,
      known,
      accounts: await readAccounts(),
    });
    await rm(directory, { recursive: true, force: true });
    for (const { file } of changed) memory.dirty.add(file.path);
    if (!lonely() || context.clock.monotonic() >= end) break;
    await context.clock.sleep(lookMs, context.signal);
  }
  if (memory.dirty.size > 0) memory.dirty.add('inventory.txt').add('serial');
}
