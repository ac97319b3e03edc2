import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { transitionPoints } from '../../src/agent/transition.ts';
import { isGate, type Gate } from '../../src/rules/gate.ts';
import { readSealed } from '../../src/system/sign.ts';
import { createAgentPair, filesOnly, type AgentPair } from '../helpers/agents.ts';
import { pathsBelow } from '../helpers/pair.ts';

let pair: AgentPair;
let number = 1;

beforeAll(async () => {
  pair = await createAgentPair(filesOnly);
  const { a, b } = pair;
  writeFileSync(join(a.root, 'etc/puppetlabs/secrets/key'), 'one');
  b.start();
  a.start();
  await a.says(/Completed sync of files/);
  await Promise.all([a.stop(), b.stop()]);
});
afterAll(() => pair[Symbol.asyncDispose]());

const gateOf = (root: string): Gate => {
  const gate = readSealed(readFileSync(pathsBelow(root).gate, 'utf8'), 'gate');
  if (!isGate(gate)) throw new Error('no gate');
  return gate;
};

describe('a spare killed while it is promoted', () => {
  test.each(transitionPoints)(
    'after "%s": the gate lets nobody in, and the next start makes it active in ONE new epoch',
    async (point) => {
      const { b } = pair;
      b.start(point);
      await b.says(/The agent of masterb.test runs/);
      b.setFacts({ pe_failover_mode: 'active' });
      expect(await b.ended()).toBe('SIGKILL');
      const gate = gateOf(b.root);
      expect(gate.closed !== undefined || gate.role === 'active').toBe(true);

      b.start();
      await b.says(/Active without a passive master/);
      number += 1;
      expect(gateOf(b.root)).toMatchObject({ role: 'active', epoch: { number } });
      b.setFacts({ pe_failover_mode: 'passive' });
      await b.says(/this active is demoted/);
      await b.stop();
      expect(gateOf(b.root)).toMatchObject({ role: 'passive', epoch: { number } });
    },
  );
});
