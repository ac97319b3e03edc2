import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { openTestCa } from '../stand-in/ca.ts';
import { newGroup } from '../stand-in/classifier-model.ts';
import { untilLive, type Arrival, type Stage } from './checks.ts';
import { certificatesProblem, revocationsProblem, signedBy } from './compare-ca.ts';
import { groupsProblem } from './compare-classifier.ts';
import { rbacProblem } from './compare-rbac.ts';
import { roleInFact, type DemoMaster } from './master.ts';
import type { World } from './world.ts';

export const visitorHints = ({ a, b }: Pick<World, 'a' | 'b'>): string[] => [
  'The day is over; small changes go on, on whoever is active by its fact. Ctrl-C ends everything.',
  `To promote B, write this into its fact: pe_failover_mode: active, and pe_failover_passive_master: ${a.certname}.`,
  `To look closer: bin/pe-failover status --root ${b.root}`,
];

/** Small changes at random on whoever is active, until the signal fires. The facts are the visitor's to edit. */
export async function goOn(stage: Stage): Promise<void> {
  const { a, b } = stage.world;
  for (let n = 1; ; n += 1) {
    const [from, to] = roleInFact(b) === 'active' ? [b, a] : [a, b];
    const change = await randomChange(from, to, n);
    await untilLive(stage, { ...change, limitMs: 30_000 }).catch(() => stage.signal.throwIfAborted());
    await sleep(randomInt(1_000, 4_000), undefined, { signal: stage.signal });
  }
}

async function randomChange(from: DemoMaster, to: DemoMaster, n: number): Promise<Arrival> {
  const ca = await openTestCa(from.cadir);
  const name = `node-${n}.demo`;
  const signing: Arrival = {
    kind: 'CA',
    what: `signed ${name}`,
    act: () => ca.sign(name),
    problem: () => certificatesProblem(from, to, [name]),
    everyMs: 10,
  };
  const old = (await signedBy(from)).find((one) => one.startsWith('burst-'));
  const choices: Arrival[] = [
    signing,
    signing,
    {
      kind: 'node groups',
      what: `made the group Group ${n}`,
      act: () => from.console.put(newGroup({ name: `Group ${n}`, variables: { server: from.certname } })),
      problem: () => groupsProblem(from, to),
    },
    {
      kind: 'RBAC',
      what: `made the user visitor-${n}`,
      act: () =>
        from.cluster.sql('pe-rbac', `INSERT INTO subjects (id, login) VALUES ('${randomUUID()}', 'visitor-${n}')`),
      problem: () => rbacProblem(from, to),
    },
  ];
  if (old !== undefined)
    choices.push({
      kind: 'CA',
      what: `revoked ${old}`,
      act: () => ca.clean(old),
      problem: () => revocationsProblem(from, to),
      everyMs: 10,
    });
  return choices[randomInt(choices.length)] ?? signing;
}
