// One pass of the smallest pair in a process of its own, which dies where it is told to.
import { parsePairing } from '../../../src/rules/pairing.ts';
import { createJournal } from '../../../src/system/journal.ts';
import { join } from 'node:path';
import type { Epoch } from '../../../src/rules/epoch.ts';
import { dieAt, dyingJournal, type DeathPoint } from '../../helpers/deaths.ts';
import { syncFilesOf, updatePassiveFilesOf } from '../../helpers/files-pair.ts';
import { createTestSender, createTestSpare, openTestMaster, testContext } from '../../helpers/pair.ts';

export interface FilesOrder {
  readonly side: 'send' | 'apply';
  readonly root: string;
  readonly certname: string;
  readonly port: number;
  readonly epoch: Epoch;
  readonly source: string;
  readonly death?: DeathPoint;
}

const order = JSON.parse(process.argv[2] ?? '') as FilesOrder;
const master = await openTestMaster(order.root, order.certname);
const context = testContext(master, order.epoch, { progress: dieAt(order.death) });
if (order.side === 'send') {
  const sender = createTestSender(master, order.port, order.epoch);
  console.log(JSON.stringify(await syncFilesOf(master, sender.delivery).run(context)));
  await sender.close();
} else {
  const journal = dyingJournal(createJournal(join(master.paths.journal, 'update-passive-files.jsonl')), order.death);
  const spare = createTestSpare(master, parsePairing(order.source));
  console.log(JSON.stringify(await updatePassiveFilesOf(master, spare, journal).run(context)));
}
console.log(master.log.lines.join('\n'));
