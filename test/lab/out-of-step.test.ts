import { existsSync, readFileSync, renameSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { StatusReport } from '../../src/agent/status.ts';
import { eventually } from './eventually.ts';
import { startLightPair, type LightPair } from './light-pair.ts';
import { certificates, databases, nextChange, sidesOf, untilWhole } from './operations.ts';
import { giveOwnClock, type OwnClock } from './own-clock.ts';
import { everything, keyFile, untilAgreed, type LabMaster } from './pair.ts';
import { copyProgram, packageDirectory } from './program.ts';
import { write } from './provision.ts';

let pair: LightPair;
let clocks: Readonly<Record<'a' | 'b', OwnClock>>;
beforeAll(async () => {
  const { a, b, ...rest } = await startLightPair('out-of-step', { configuration: everything, withConsole: true });
  clocks = { a: await giveOwnClock(a), b: await giveOwnClock(b) };
  pair = { ...rest, a: withClock(a, clocks.a), b: withClock(b, clocks.b) };
}, 300_000);
beforeEach(async () => {
  await untilAgreed(pair);
  for (const { syslog } of [pair.a, pair.b]) syslog.forget();
}, 300_000);
afterAll(() => pair[Symbol.asyncDispose]());

function withClock(master: LabMaster, { environment }: OwnClock): LabMaster {
  const ask = `env ${environment} pe-failover status --json`;
  return { ...master, status: async () => JSON.parse((await master.try(ask)).stdout) as StatusReport };
}

const alarmsOf = ({ syslog }: LabMaster): readonly string[] =>
  syslog.lines().filter((line) => /\[(FAILURE|WARNING)\]/.test(line));

describe('a clock', () => {
  /** Of what the agent publishes, in seconds. */
  const aheadOf = (master: LabMaster): number => {
    const { at } = JSON.parse(
      readFileSync(master.path('/var/lib/pe_failover/state/status.json'), 'utf8'),
    ) as StatusReport;
    return (Date.parse(at) - Date.now()) / 1000;
  };
  it.each([
    ['spare', 'b', 3600],
    ['active', 'a', -3600],
  ] as const)(
    'of the %s (master%s) that is set by %i s: all goes on, nothing runs twice, and nobody alarms; nor when it is set right',
    async (_, side, seconds) => {
      for (const wanted of [seconds, 0]) {
        await clocks[side].set(wanted);
        await eventually('the agent has it', () => Math.abs(aheadOf(pair[side]) - wanted) < 60);
        const switches = (): number =>
          pair.b.syslog.lines().filter((line) => line.includes('Completed restore of database')).length;
        const before = switches();
        for (const operation of [certificates, databases]) {
          await nextChange(operation, sidesOf(pair));
          await untilWhole(sidesOf(pair), operation);
        }
        await sleep(12_000); // for the agent's own alarm, which looks each 10 s
        expect(switches() - before).toBe(1);
        expect([...alarmsOf(pair.a), ...alarmsOf(pair.b)]).toEqual([]);
      }
    },
    300_000,
  );
});

describe('a key file that comes after the database that needs it', () => {
  it('is waited for, which status says, and both go live together', async () => {
    const { a, b } = pair;
    const inbox = b.path('/var/lib/pe_failover/inbox/sync-files');
    renameSync(inbox, `${inbox}.late`); // files are not taken in meanwhile
    await write(a, keyFile, '{"key": "another of mastera"}\n', 0o600);
    await nextChange(databases, sidesOf(pair));
    await eventually(
      'the spare waits for the key',
      async () => {
        const { agent } = await b.status();
        return agent.jobs.some(({ job, why }) => job === 'restore-dbs' && why.includes(keyFile.slice(1)));
      },
      { withinMs: 60_000, everyMs: 300 },
    );
    await sleep(9_000); // two minutes of its cron
    expect(readFileSync(b.path(keyFile), 'utf8')).toContain('"of mastera"');
    renameSync(`${inbox}.late`, inbox);
    await untilWhole(sidesOf(pair), databases);
    expect(readFileSync(b.path(keyFile), 'utf8')).toContain('another of mastera');
    expect(existsSync(inbox)).toBe(true);
    await untilAgreed(pair);
  }, 300_000);
});

describe('another version of the program', () => {
  const dist = '/opt/pe_failover/dist';
  /** `signed` and `packed`: what it makes of a signed line, and of the manifest of a drop. */
  const version = (signed: string, packed = 'manifest'): string =>
    [
      `sed -i "s/programVersion = '.*'/programVersion = '9.9.9'/" ${dist}/rules/program.js`,
      `sed -i 's/JSON.stringify(value)/JSON.stringify(${signed})/' ${dist}/system/sign.js`,
      `sed -i 's/JSON.stringify(manifest)/JSON.stringify(${packed})/' ${dist}/drops/outbox.js`,
      'systemctl restart pe-failover',
    ].join(' && ');
  const thisVersion = async (master: LabMaster): Promise<void> => {
    await copyProgram(master, await packageDirectory(() => undefined));
    await master.sh('systemctl restart pe-failover');
  };

  it.each(['a', 'b'] as const)(
    'on master%s that says more than this one knows: what is signed is live, and nobody complains',
    async (side) => {
      const other = pair[side];
      await other.sh(version('{ ...value, later: { of: 9 } }', '{ ...manifest, later: [9] }'));
      await nextChange(certificates, sidesOf(pair));
      await untilWhole(sidesOf(pair), certificates);
      await untilAgreed(pair);
      expect([...alarmsOf(pair.a), ...alarmsOf(pair.b)].filter((line) => !line.includes('has not run'))).toEqual([]);
      await thisVersion(other);
      await untilAgreed(pair);
    },
    300_000,
  );

  it('on the spare whose greeting means something else: the active names both and what to do, and with the same all is there', async () => {
    const { a, b } = pair;
    await b.sh(version('purpose === "message" ? { ...value, format: 2, program: "9.9.9" } : value'));
    await nextChange(certificates, sidesOf(pair));
    await a.syslog.says(
      /\[FAILURE\].*9\.9\.9 of pe-failover wrote it, and this is 0\.1\.0.*Install the same version on both masters/,
      90_000,
    );
    await thisVersion(b);
    await untilWhole(sidesOf(pair), certificates);
    await untilAgreed(pair, 180_000);
  }, 300_000);
});
