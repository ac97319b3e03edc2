import type { IssuerDecision } from '../rules/crl.ts';
import type { Crl } from '../system/certificates.ts';
import { copyFileAtomic, readBytesIfThere, readIfThere, writeFileAtomic } from '../system/files.ts';
import type { Step } from '../system/journal.ts';
import { bundleOf, type CrlIssuing } from './ca-crl.ts';
import type { LiveCa } from './ca-live.ts';
import { ownershipOf, type OwnershipSources } from './ca-ownership.ts';

interface InfraFile {
  readonly path: string;
  readonly sha256: string;
}

type Decide = (incoming: readonly Crl[], live: readonly Crl[]) => readonly IssuerDecision[];

interface InfraApply extends OwnershipSources, CrlIssuing {
  readonly live: LiveCa;
  readonly source: (path: string, sha256: string) => string;
  readonly decideInfra: Decide;
}

export const infraCrl = 'infra_crl.pem';

/**
 * infra_* name each master's own infrastructure nodes: lists become unions, that of the revoked ones too.
 */
export function infraStep(apply: InfraApply, files: readonly InfraFile[]): Step {
  return {
    name: 'infra',
    isDone: async () => {
      const needs = await Promise.all(files.map((file) => merged(apply, file)));
      return needs.every((need) => need === undefined);
    },
    do: async () => {
      for (const file of files) {
        const need = await merged(apply, file);
        if (need === undefined) continue;
        const [path, ownership] = [apply.live.path(file.path), await ownershipOf(apply, file.path)];
        if (need === 'incoming') await copyFileAtomic(apply.source(file.path, file.sha256), path, ownership);
        else await writeFileAtomic(path, need.text, ownership);
      }
    },
  };
}

/** What to write, or undefined where live needs nothing of it. */
async function merged(
  apply: InfraApply,
  { path, sha256 }: InfraFile,
): Promise<'incoming' | { text: string } | undefined> {
  const source = apply.source(path, sha256);
  const live = await readIfThere(apply.live.path(path));
  if (live === undefined) return 'incoming';
  if (path === infraCrl) return await mergedCrl(apply, source);
  const present = live.split('\n').filter((line) => line !== '');
  const wanted = ((await readIfThere(source)) ?? '').split('\n').filter((line) => line !== '');
  const missing = [...new Set(wanted)].filter((line) => !present.includes(line));
  return missing.length === 0 ? undefined : { text: `${[...present, ...missing].join('\n')}\n` };
}

async function mergedCrl(apply: InfraApply, source: string): Promise<{ text: string } | undefined> {
  const [incoming, live] = [await listsOf(apply.live, source), await listsOf(apply.live, apply.live.path(infraCrl))];
  const decisions = apply.decideInfra(incoming, live);
  if (decisions.every(({ use }) => use === 'live')) return undefined;
  const sources = { incoming, accepted: [], forgiven: new Set<bigint>() };
  return { text: await bundleOf(apply, sources, live, decisions) };
}

export async function infraDecisions(live: LiveCa, source: string, decide: Decide): Promise<readonly IssuerDecision[]> {
  return decide(await listsOf(live, source), await listsOf(live, live.path(infraCrl)));
}

async function listsOf(live: LiveCa, file: string): Promise<readonly Crl[]> {
  const pem = await readBytesIfThere(file);
  try {
    return pem === undefined ? [] : live.readCrls(pem, file);
  } catch {
    return [];
  }
}
