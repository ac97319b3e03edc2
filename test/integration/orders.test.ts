import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StatusReport } from '../../src/agent/status.ts';
import { openHost, openMaster, type Master } from '../../src/app.ts';
import { openOther, type OtherMaster } from '../../src/order-work.ts';
import { seal } from '../../src/system/sign.ts';
import { createAgentPair, filesOnly, startBoth, type AgentMaster, type AgentPair } from '../helpers/agents.ts';
import { pathsBelow } from '../helpers/pair.ts';
import { until } from '../helpers/trees.ts';

let pair: AgentPair;
let masters: { a: Master; b: Master };
let others: { ofA: OtherMaster; ofB: OtherMaster };

beforeAll(async () => {
  pair = await createAgentPair(() => `${filesOnly()}peer_address: 127.0.0.1\n`);
  await startBoth(pair);
  const open = async ({ root }: AgentMaster): Promise<Master> =>
    openMaster(await openHost(root), { stderr: false, besideAgent: true });
  masters = { a: await open(pair.a), b: await open(pair.b) };
  others = { ofA: await openOther(masters.a, 'alice'), ofB: await openOther(masters.b, 'bob') };
});
afterAll(async () => {
  for (const other of Object.values(others)) await other[Symbol.asyncDispose]();
  for (const { log } of Object.values(masters)) await log.close();
  await pair[Symbol.asyncDispose]();
});

const options = { signal: AbortSignal.timeout(60_000), timeoutMs: 30_000 };
const order = (id: string, greeted: string, source = masters.a.certname) => ({
  ...{ format: 1, kind: 'order', id, n: 1, verb: 'status', args: {}, source, target: masters.b.certname },
  ...{ greeted, by: 'alice' },
});
const send = (master: AgentMaster, line: string): void =>
  writeFileSync(join(pathsBelow(master.root).inbox, 'messages', 'again'), line);
const replies = (): string[] => readdirSync(pathsBelow(pair.b.root).replies);

describe('an order', () => {
  it('of the active is carried out by the root of the spare', async () => {
    const report = (await others.ofA.give('status', {}, options)) as StatusReport;
    expect(report).toMatchObject({ certname: 'masterb.test', role: 'passive', agent: { runs: true } });
  });

  it('of the spare is carried out by the root of the active, whose gate takes nothing else of it', async () => {
    const report = (await others.ofB.give('status', {}, options)) as StatusReport;
    expect(report).toMatchObject({ certname: 'mastera.test', role: 'active' });
  });

  it('that the other one does not know is refused in words', async () => {
    await expect(others.ofA.give('dance', {}, options)).rejects.toMatchObject({
      class: 'usage',
      message: expect.stringContaining('masterb.test says: it does not know this order (dance)') as string,
    });
  });

  it('that comes a second time, too late, for somebody else, or signed by nobody who is known is not carried out', async () => {
    const { b } = pair;
    await others.ofA.give('status', {}, options);
    const before = replies();
    const seen = before.at(-1)?.replace('.json', '') ?? '';
    const { signer } = masters.a;
    const now = new Date().toISOString();
    send(b, seal(signer, 'message', order(seen, now)));
    await b.says(/An order of mastera\.test \(status\) is not done: it was heard before/);
    send(b, seal(signer, 'message', order('f'.repeat(32), '2026-01-01T00:00:00.000Z')));
    await b.says(/is not done: it is too old/);
    send(b, seal(signer, 'message', { ...order('e'.repeat(32), now), target: 'masterc.test' }));
    await b.says(/is not done: it is meant for masterc\.test/);
    send(b, seal(masters.b.signer, 'message', order('d'.repeat(32), now)));
    await b.says(/WARNING\] message refused/);
    expect(replies()).toEqual(before);
  });

  it('to promote that was called back is not carried out, however late it comes', async () => {
    const { b } = pair;
    await others.ofA.give('stay-spare', {}, options);
    const late = { ...order('c'.repeat(32), new Date().toISOString()), verb: 'promote' };
    send(b, seal(masters.a.signer, 'message', late));
    const path = join(pathsBelow(b.root).replies, `${late.id}.json`);
    await until('its reply', () => existsSync(path) && readFileSync(path, 'utf8').includes('failed'));
    expect(readFileSync(path, 'utf8')).toContain('the order to promote was called back');
    const report = (await others.ofA.give('status', {}, options)) as StatusReport;
    expect(report.role).toBe('passive');
  });

  it('leaves its reply for the gate alone, and not for ever', async () => {
    const path = join(pathsBelow(pair.b.root).replies, replies()[0] ?? '');
    expect(readFileSync(path, 'utf8')).toContain('"signature"');
    await pair.b.stop();
    pair.b.start();
    await pair.b.says(/The agent of masterb\.test runs/);
    await expect.poll(replies).toEqual([]);
  });
});
