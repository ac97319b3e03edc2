import { afterAll, beforeAll, expect, test } from 'vitest';
import { createNcDump, previewNcDump } from '../../src/jobs/nc-dump.ts';
import { digestGroups } from '../../src/rules/groups.ts';
import { fakeDelivery, passContext } from '../helpers/classifier-fakes.ts';
import { createWorld, groupsOf, signal, type ClassifierWorld } from '../helpers/classifier-pair.ts';
import type { ClassifierStandIn } from '../stand-in/classifier.ts';

let world: ClassifierWorld;
let standIn: ClassifierStandIn;
beforeAll(async () => {
  world = await createWorld();
  standIn = await world.start({ host: 'mastera.example.com' });
});
afterAll(() => world.close());

const job = (delivery: ReturnType<typeof fakeDelivery>) =>
  createNcDump({ classifier: world.classifierOf(standIn), delivery, peer: 'masterb.example.com' });

test('ships one file whose sha256 is the digest, then only confirms, then ships an edit', async () => {
  const delivery = fakeDelivery({ state: 'applied', why: '17 node groups imported' });
  const dump = job(delivery);
  const context = passContext();
  expect(await dump.run(context)).toMatchObject({ kind: 'done', why: expect.stringContaining('applied') as string });
  expect(delivery.goods[0]?.digest).toBe(digestGroups(groupsOf(standIn)));
  expect(`sha256:${(JSON.parse(delivery.packed[0] ?? '') as { sha256: string }[])[0]?.sha256}`).toBe(
    delivery.goods[0]?.digest,
  );
  expect(context.lines).toContain('SUCCESS Export Completed. Attempting to sync data to masterb.example.com');
  expect(context.lines).toContain('SUCCESS Completed sync of NC Export to masterb.example.com');
  expect(await dump.run(passContext())).toMatchObject({ kind: 'unchanged' });
  standIn.tree.update(groupsOf(standIn)[1]?.id ?? '', { variables: { edited: 'yes' } });
  expect(await dump.run(passContext())).toMatchObject({ kind: 'done' });
  expect(delivery.goods).toHaveLength(2);
});
test('says done, not completed, while the spare has not applied it', async () => {
  const context = passContext();
  expect(await job(fakeDelivery(undefined)).run(context)).toMatchObject({ kind: 'done' });
  expect(context.lines.join()).not.toContain('Completed sync');
});
test('is held, or fails, when the spare says so', async () => {
  expect(await job(fakeDelivery({ state: 'held', why: 'too many' })).run(passContext())).toEqual(
    expect.objectContaining({ kind: 'held', why: 'too many' }),
  );
  await expect(job(fakeDelivery({ state: 'failed', why: 'x' })).run(passContext())).rejects.toMatchObject({
    class: 'incomplete',
  });
});
test('says of an unchanged classifier what the spare said last: held stays held, failed fails', async () => {
  for (const [state, outcome] of [
    ['held', { value: { kind: 'held', why: 'too many' } }],
    ['failed', { reason: { class: 'incomplete' } }],
  ] as const) {
    const dump = job(fakeDelivery({ state, why: 'too many' }));
    await Promise.allSettled([dump.run(passContext())]);
    expect(await Promise.allSettled([dump.run(passContext())])).toMatchObject([outcome]);
  }
});
test('ships nothing of an answer that is garbage', async () => {
  standIn.fault({ kind: 'garbage', times: 1 });
  const delivery = fakeDelivery(undefined);
  await expect(job(delivery).run(passContext())).rejects.toMatchObject({ class: 'dependency' });
  expect(delivery.goods).toEqual([]);
});
test('a preview names each path with its old and new value', async () => {
  const pairs = [{ active: 'mastera.example.com', passive: 'masterb.example.com' }];
  expect(await previewNcDump(world.classifierOf(standIn), pairs, signal)).toContainEqual({
    path: 'PE Infrastructure: classes.puppet_enterprise.console_host',
    old: 'mastera.example.com',
    new: 'masterb.example.com',
  });
});
