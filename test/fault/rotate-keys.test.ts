import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { switchPoints } from '../../src/drops/own-keys.ts';
import { followPoints } from '../../src/drops/peer-keys.ts';
import { loadSigner } from '../../src/system/sign.ts';
import {
  createAgentPair,
  filesOnly,
  secretOf,
  startBoth,
  type AgentMaster,
  type AgentPair,
} from '../helpers/agents.ts';
import { pathsBelow } from '../helpers/pair.ts';
import { askSpareOften, gateOf, logins, rotateKeys } from '../helpers/rotation.ts';
import { until } from '../helpers/trees.ts';

let pair: AgentPair;
beforeAll(async () => {
  pair = await createAgentPair(filesOnly);
  await startBoth(pair);
});
afterAll(() => pair[Symbol.asyncDispose]());

const signingKeyOf = async ({ root }: AgentMaster): Promise<string> =>
  (await loadSigner(pathsBelow(root).keys.signing)).publicKey;

let written = 0;
async function expectThatFilesArrive({ a, b }: AgentPair): Promise<void> {
  const content = `content ${(written += 1)}`;
  writeFileSync(secretOf(a), content);
  await until(`${content} has arrived`, () => readFileSync(secretOf(b), 'utf8') === content, 60_000);
}

const deaths = (['a', 'b'] as const).flatMap((changing) => [
  ...switchPoints.map((point) => ({ changing, dying: changing, point })),
  ...followPoints.map((point) => ({ changing, dying: changing === 'a' ? ('b' as const) : ('a' as const), point })),
]);

describe('a change of keys during which an agent is killed', () => {
  test.each(deaths)(
    'of $changing, when $dying dies after "$point": it goes on to its end, and files arrive',
    async ({ changing, dying, point }) => {
      const [master, mortal] = [pair[changing], pair[dying]];
      const other = changing === 'a' ? pair.b : pair.a;
      const before = await signingKeyOf(master);
      await mortal.stop();
      mortal.start(point);
      using _asking = askSpareOften(pair.a);
      const changed = rotateKeys(master);
      expect(await mortal.ended()).toBe('SIGKILL');
      mortal.start();
      const { code, output } = await changed;
      expect(code, output + pair.a.log.join('\n') + pair.b.log.join('\n')).toBe(0);
      expect(await signingKeyOf(master)).not.toBe(before);
      expect(gateOf(other)).toMatchObject({ peerKey: await signingKeyOf(master) });
      expect(logins(other)).toHaveLength(1);
      await expectThatFilesArrive(pair);
    },
  );
});
