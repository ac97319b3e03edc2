import { lacking, type CrlFacts } from '../rules/crl.ts';
import { copyFileAtomic, readBytesIfThere, readIfThere, writeFileAtomic } from '../system/files.ts';
import type { Step } from '../system/journal.ts';
import type { LiveCa } from './ca-live.ts';
import { ownershipOf, type OwnershipSources } from './ca-ownership.ts';

interface InfraFile {
  readonly path: string;
  readonly sha256: string;
}

interface InfraApply extends OwnershipSources {
  readonly live: LiveCa;
  readonly source: (path: string, sha256: string) => string;
}

/**
 * infra_* name each master's own infrastructure nodes: lists become unions, and the list of revoked ones is replaced
 * only by one that holds all of it.
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
  if (path === 'infra_crl.pem') return (await losesNothing(apply.live, source, path)) ? 'incoming' : undefined;
  const present = live.split('\n').filter((line) => line !== '');
  const wanted = ((await readIfThere(source)) ?? '').split('\n').filter((line) => line !== '');
  const missing = [...new Set(wanted)].filter((line) => !present.includes(line));
  return missing.length === 0 ? undefined : { text: `${[...present, ...missing].join('\n')}\n` };
}

async function losesNothing(ca: LiveCa, source: string, name: string): Promise<boolean> {
  const read = async (file: string): Promise<readonly CrlFacts[]> => {
    const pem = await readBytesIfThere(file);
    try {
      return pem === undefined ? [] : ca.readCrls(pem, file);
    } catch {
      return [];
    }
  };
  const [live, incoming] = [await read(ca.path(name)), await read(source)];
  const other = (issuer: string) => incoming.find((crl) => crl.issuer === issuer);
  const lost = live.some((crl) => lacking(crl, other(crl.issuer), () => false).length > 0);
  const gains = incoming.some(
    (crl) =>
      lacking(
        crl,
        live.find(({ issuer }) => issuer === crl.issuer),
        () => false,
      ).length > 0,
  );
  return !lost && gains;
}
