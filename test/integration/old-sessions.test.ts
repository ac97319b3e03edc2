import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nameByAdmin } from '../../src/drops/greeter.ts';
import { parsePairing } from '../../src/rules/pairing.ts';
import { createLoginSessions } from '../../src/system/login-sessions.ts';
import type { PeerState } from '../../src/rules/rotation.ts';
import { createState } from '../../src/system/state.ts';
import { activeOf } from '../helpers/own-system.ts';
import { pathsBelow } from '../helpers/pair.ts';
import { startOwnSpare, type Going, type OwnSpare } from '../helpers/own-spare.ts';
import { until } from '../helpers/trees.ts';

const isOver = ({ child }: Going): boolean => child.exitCode !== null || child.signalCode !== null;
const peerFile = '/var/lib/pe_failover/state/peer.json';
const peerState = ({ own }: OwnSpare): PeerState => JSON.parse(own.read(peerFile)) as PeerState;
const running = ({ own }: OwnSpare): string => own.sh('ps -u pe-transfer -o stat=,comm= | grep -v ^Z || true');
const agentIsDone = (spare: OwnSpare): Promise<void> =>
  until('no old connection is left', () => peerState(spare).ends === undefined, 60_000);

function fill({ drop }: OwnSpare): void {
  mkdirSync(drop, { recursive: true });
  writeFileSync(join(drop, 'manifest.json'), '{}');
  writeFileSync(join(drop, 'big'), randomBytes(3_000_000));
}

/** A push of which half is there stands still until it is told to go on. */
async function half(spare: OwnSpare, push: Going): Promise<void> {
  const size = 'stat -c %s /var/lib/pe_failover/inbox/sync-files/staging/big 2>/dev/null || echo 0';
  await until('half a push', () => Number(spare.own.sh(size)) > 300_000);
  push.child.kill('SIGSTOP');
}

describe.each([
  { name: 'sshd', usePam: 'yes' },
  { name: 'sshd-session', usePam: 'no' }, // as it is called from OpenSSH 9.8 on
] as const)('behind $name, UsePAM $usePam', (sshd) => {
  it('a promotion ends logins of before: an idle one soon, one in which a push runs behind that, and nobody else', async (context) => {
    await using spare = await startOwnSpare(context, sshd);
    const { own } = spare;
    own.sh("useradd --create-home --shell /bin/sh --password '*' bystander");
    fill(spare);
    const [idle, busy] = [await spare.login(), await spare.login()];
    const others = [await spare.login('root'), await spare.login('bystander')];
    expect((await idle.hello().ended).code).toBe(0);
    const push = busy.push(1, { bandwidth: 500 });
    await half(spare, push);
    expect(
      running(spare)
        .split('\n')
        .filter((line) => line.endsWith(` ${sshd.name}`)),
    ).toHaveLength(2);

    own.command('promote', '--force-stale', '--force', '--yes'); // nothing ever arrived here
    await idle.ended;
    expect([busy, push, ...others].map(isOver)).toEqual([false, false, false, false]);
    const later = await spare.login();
    push.child.kill('SIGCONT');
    expect((await push.ended).output).toContain('mine is 1.');
    await busy.ended;
    await agentIsDone(spare);
    expect([later, ...others].map(isOver)).toEqual([false, false, false]);
    expect((await later.hello().ended).code).toBe(0);
  }, 120_000);
});

it('a login in which something runs for ever is ended when its time is over, with what runs in it, and the next push passes', async (context) => {
  await using spare = await startOwnSpare(context, { name: 'sshd', usePam: 'no' });
  fill(spare);
  const [busy, asking] = [await spare.login(), await spare.login()];
  const push = busy.push(1, { bandwidth: 500 });
  await half(spare, push);
  const ask = async (): Promise<void> => {
    while (!isOver(asking)) await asking.hello().ended;
  };
  const asked = ask();

  const now = new Date().toISOString();
  spare.own.write(peerFile, JSON.stringify({ ...peerState(spare), ends: { before: now, by: now } }), 0o600);
  await Promise.all([busy.ended, asking.ended, asked]);
  await agentIsDone(spare);
  expect(running(spare)).toBe('');
  push.child.kill('SIGCONT');
  expect((await push.ended).code).not.toBe(0);

  const again = await spare.login();
  expect(await again.push(1).ended).toMatchObject({ code: 0 });
}, 120_000);

it('of a crowd of idle logins fifty stay, that of the honest one among them, and it is said', async (context) => {
  await using spare = await startOwnSpare(context, { name: 'sshd', usePam: 'no' });
  fill(spare);
  const honest = await spare.login();
  const isAsking = new AbortController();
  const ask = async (): Promise<void> => {
    while (!isAsking.signal.aborted) await honest.hello().ended;
  };
  const asked = ask();
  const crowd: Going[] = [];
  for (let round = 0; round < 7; round += 1)
    crowd.push(...(await Promise.all(Array.from({ length: 8 }, () => spare.login()))));
  await until('some of them are ended', () => crowd.filter(isOver).length >= 7, 60_000);
  isAsking.abort();
  await asked;
  expect(isOver(honest)).toBe(false);
  expect(crowd.filter((one) => !isOver(one)).length).toBeGreaterThanOrEqual(40);
  expect(spare.own.read('/run/agent.log')).toMatch(/FAILURE.*5\d connections open, and idle ones are ended/);
  expect(await honest.push(1).ended).toMatchObject({ code: 0 });
}, 180_000);

it('another active that an admin names ends the logins of the one before', async () => {
  using first = await activeOf('mastera.test');
  using second = await activeOf('mastera.test');
  const paths = pathsBelow(first.root);
  const peer = (): Promise<PeerState | undefined> => createState(paths.state).read<PeerState>('peer');
  await nameByAdmin(paths, parsePairing(first.line));
  expect((await peer())?.ends).toBeUndefined();
  await nameByAdmin(paths, parsePairing(second.line));
  expect(await peer()).toMatchObject({ line: second.line, ends: { before: expect.any(String) as string } });
});

it('sessions of root are never looked for', () => {
  expect(() => createLoginSessions(0)).toThrow('the sessions of root are not ended');
});
