import { join } from 'node:path';
import { userInfo } from 'node:os';
import type { Master } from './app.ts';
import type { DifferenceParts, LiveSide } from './drops/difference.ts';
import { createDropBook } from './drops/drop-book.ts';
import { readGenerations, type HistoryParts } from './drops/history.ts';
import { openLiveCa } from './puppet/ca-live.ts';
import { countRows } from './puppet/database-rows.ts';
import { settingsOf } from './role-work.ts';
import { caPast, crlMoment, type CaPast } from './rules/certificate-words.ts';
import type { KnownFiles } from './rules/files-words.ts';
import { classifierOf, findCadir, postgresAs } from './surroundings.ts';
import { lstat } from 'node:fs/promises';
import { sha256File } from './system/files.ts';

/** What `history` reads on this master. */
export function historyOf(master: Master): HistoryParts {
  const { paths, clock, spare } = master;
  let past: Promise<CaPast> | undefined;
  return {
    paths,
    drops: createDropBook(paths.drops, () => clock.now()),
    receipts: spare.book,
    caPast: () => (past ??= readCaPast(master)),
  };
}

/** What `diff` compares on this master. */
export async function differenceOf(master: Master, signal: AbortSignal): Promise<DifferenceParts> {
  const { certname, clock } = master;
  const { hostMap, furtherInfrastructure } = settingsOf(master);
  return {
    all: await readGenerations(historyOf(master)),
    live: liveSide(master, signal),
    hosts: { certname, hostMap, furtherInfrastructure },
    now: clock.now(),
  };
}

const liveSide = (master: Master, signal: AbortSignal): LiveSide => ({
  groups: () => classifierOf(master).groups(signal),
  tables: async (database) => {
    await using session = await adminOf(master).connect(database, { signal });
    return await countRows(session);
  },
  caPast: () => readCaPast(master),
  files: (paths) => filesAt(master.paths.root, paths),
});

export const adminOf = (master: Master) => postgresAs(master, master.config.postgres.run_as ?? userInfo().username);

/** A master without a CA tells nothing of certificates. */
async function readCaPast(master: Master): Promise<CaPast> {
  const live = openLiveCa(await findCadir(master));
  const revoked = (await live.crls()).flatMap((crl) => [...crl.revoked]);
  return caPast(await live.text('inventory.txt'), new Map(revoked.map(([serial, at]) => [serial, crlMoment(at)])));
}

async function filesAt(root: string, paths: readonly string[]): Promise<KnownFiles> {
  const found = new Map<string, { size: number; sha256: string } | undefined>();
  for (const path of paths) {
    const file = join(root, path);
    const one = await lstat(file).catch(() => undefined);
    found.set(path, one?.isFile() === true ? { size: one.size, sha256: await sha256File(file) } : undefined);
  }
  return found;
}
