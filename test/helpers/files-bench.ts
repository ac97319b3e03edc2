import { expect } from 'vitest';
import { createDropBench, type DropBench } from './drop-bench.ts';
import { secretsOf, syncFilesOf, updatePassiveFilesOf, writeSecret } from './files-pair.ts';
import type { TestPair } from './pair.ts';
import { snapshot } from './trees.ts';

/** A bench on which the honest drops carry secrets. */
export function createFilesBench(pair: TestPair): DropBench {
  let count = 0;
  const { delivery } = pair.sender();
  return createDropBench({
    pair,
    stream: 'sync-files',
    delivery,
    send: syncFilesOf(pair.a, delivery),
    apply: updatePassiveFilesOf(pair.b, pair.spare),
    change: () => writeSecret(pair.a, 'honest', `honest ${(count += 1)}`),
    agrees: () => expect(snapshot(secretsOf(pair.b))).toEqual(snapshot(secretsOf(pair.a))),
  });
}
