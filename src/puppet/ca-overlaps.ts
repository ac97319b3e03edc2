import { readFile } from 'node:fs/promises';
import { kindOf } from '../rules/ca-paths.ts';
import type { CaFile } from '../rules/ca-plan.ts';
import { serialOverlaps, type Issued, type SerialOverlap } from '../rules/serial-overlaps.ts';
import { readCertificates } from '../system/certificates.ts';
import { inParallel } from '../system/in-parallel.ts';
import type { LiveCa } from './ca-live.ts';

export interface Arriving {
  /** Inventory lines that are new here. */
  readonly lines: readonly string[];
  /** Files that are not live as they come, and are what they should be. */
  readonly fresh: readonly CaFile[];
  readonly source: (path: string, sha256: string) => string;
}

/** Serials of what arrives that belong to another certificate here. */
export async function overlapsWith(
  live: LiveCa,
  { lines, fresh, source }: Arriving,
  now: Date,
): Promise<SerialOverlap[]> {
  const certificates: Issued[] = [];
  await inParallel(
    fresh.filter(({ path }) => kindOf(path) === 'certificate'),
    16,
    async ({ path, sha256 }) => {
      const [read] = readCertificates(await readFile(source(path, sha256)), path);
      if (read === undefined) return;
      const { serial, commonName: name = '', notBefore, notAfter } = read;
      certificates.push({ serial, name, notBefore: notBefore.toISOString(), notAfter: notAfter.toISOString() });
    },
  );
  if (lines.length === 0 && certificates.length === 0) return [];
  return serialOverlaps(await live.text('inventory.txt'), lines, certificates, now);
}
