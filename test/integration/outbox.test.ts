import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createOutbox } from '../../src/drops/outbox.ts';
import type { Goods } from '../../src/drops/delivery.ts';
import { createAgentPair } from '../helpers/agents.ts';
import { pathsBelow, startPair } from '../helpers/pair.ts';

it('a drop that could not be packed leaves nothing behind', async () => {
  await using pair = await startPair();
  const { a, epoch } = pair;
  const goods: Goods = {
    ...{ stream: 'db-dump.rbac', digest: `sha256:${'0'.repeat(64)}`, kind: 'whole' },
    pack: (directory) => {
      writeFileSync(join(directory, 'dump'), 'half');
      throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    },
  };
  const origin = { source: a.certname, target: pair.b.certname, platform: 'puppet', build: 'test' };
  const options = { capturedAt: new Date(), signal: new AbortController().signal, packed: () => undefined };
  const outbox = createOutbox(a.paths.outbox, a.signer);
  await expect(outbox.pack(goods, { epoch, sequence: 1 }, origin, options)).rejects.toThrow('no space left');
  expect(readdirSync(join(a.paths.outbox, 'db-dump.rbac'))).toEqual([]);
});

it('what a killed agent left half packed is gone before the next one dumps, and what another process packs is not', async () => {
  await using pair = await createAgentPair();
  const { outbox } = pathsBelow(pair.a.root);
  const [left, packing] = [spawnSync('true').pid, process.pid].map((pid) =>
    join(outbox, `db-dump.rbac/.${pid}-1.00c0ffee00c0ffee-1`),
  );
  for (const directory of [left, packing]) mkdirSync(directory ?? '', { recursive: true });
  pair.a.start();
  await pair.a.says(/the spare|cannot be reached/i);
  expect([left, packing].map((directory) => existsSync(directory ?? ''))).toEqual([false, true]);
});
