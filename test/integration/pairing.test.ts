import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { installChanges, type InstallOrder } from '../../src/agent/installation.ts';
import { createAuthorizedKeys } from '../../src/drops/authorized-keys.ts';
import { noEpoch } from '../../src/drops/epoch-book.ts';
import { peerIn } from '../../src/rules/gate.ts';
import { exec } from '../../src/system/exec.ts';
import { createAgentPair, placed, secretOf, startBoth, type AgentMaster } from '../helpers/agents.ts';
import { createTestSender, pathsBelow, program, startPair, type TestMaster, type TestPair } from '../helpers/pair.ts';

const lastLine = (output: string): string => output.trim().split('\n').at(-1) ?? '';

/** Keys, state and the transfer user's home are gone; sshd and its host key stay. */
function loseEverything({ root }: AgentMaster): void {
  for (const path of ['var/lib/pe_failover', 'etc/puppetlabs/pe_failover/keys', 'home'])
    rmSync(join(root, path), { recursive: true, force: true });
}

describe('a spare that was installed anew behind the host key that it had', () => {
  it('is refused with what to type, and is the spare again after that', async () => {
    await using pair = await createAgentPair();
    const { a, b } = pair;
    await startBoth(pair);

    await Promise.all([a.stop(), b.stop()]);
    loseEverything(b);
    const line = lastLine(a.command('install', '--active', '--passive-master', '127.0.0.1').output);
    expect(b.command('install', '--passive', '--auth-key', line).code).toBe(0);
    b.start();
    await b.says(/The agent of masterb\.test runs/);
    a.start();
    const refusal = await a.says(/\[FAILURE\].*not the one that is known here/);
    expect(refusal).toContain('pe-failover install --active --passive-master 127.0.0.1 --renew-host-key');

    const renewed = a.command('install', '--active', '--passive-master', '127.0.0.1', '--renew-host-key');
    expect(renewed.output).toContain('forget the spare that was known');
    await a.stop();
    a.start();
    await a.says(/Paired with masterb\.test/);
    writeFileSync(secretOf(a), 'second');
    await b.says(placed);
  });
});

describe('another spare', () => {
  const order = (name: string, spare: TestMaster, renewHostKey = false): InstallOrder => ({
    role: 'active',
    passiveMaster: name,
    alias: name,
    passiveHostKey: spare.pairing.hostKey,
    renewHostKey,
  });
  const makeAgain = async ({ paths, certname }: TestMaster, what: InstallOrder): Promise<string[]> => {
    const given = { paths, exec, program, machine: { certname }, platform: 'puppet' as const };
    const parts = { ...given, system: false, user: 'pe-transfer', sampleConfig: '', newEpochId: () => '' };
    const made: string[] = [];
    for (const change of installChanges({ ...parts, transferIds: () => Promise.resolve(undefined) }, what)) {
      if (!(await change.isNeeded())) continue;
      made.push(change.what);
      await change.make();
    }
    return made;
  };
  const greet = async (master: TestMaster, port: number, name?: string): Promise<string> => {
    const sender = createTestSender(master, port, noEpoch, name);
    try {
      return (await sender.greet(AbortSignal.timeout(20_000))).pairing.certname;
    } finally {
      await sender.close();
    }
  };
  const letIn = async ({ b, spare }: TestPair, { pairing }: TestMaster): Promise<void> => {
    const ownership = { mode: 0o640 };
    const keys = createAuthorizedKeys({ path: b.paths.authorizedKeys, program, root: b.root, ownership });
    await keys.write(pairing, 'drops');
    await spare.gate.update(() => peerIn(pairing));
  };

  it('takes the place of the known one when an admin installs with its name, never by its greeting', async () => {
    await using pair = await startPair();
    await using other = await startPair();
    const { a } = pair;
    await greet(a, pair.sshd.port);
    await letIn(other, a);
    const known = readFileSync(join(a.paths.state, 'peer.json'), 'utf8');
    writeFileSync(a.paths.keys.knownHosts, `localhost ${other.b.pairing.hostKey}\n`);
    await expect(greet(a, other.sshd.port, 'localhost')).rejects.toMatchObject({
      class: 'config',
      hint: expect.stringContaining('--renew-host-key') as string,
    });
    expect(readFileSync(join(a.paths.state, 'peer.json'), 'utf8')).toBe(known);

    expect((await makeAgain(a, order('localhost', other.b))).join()).toContain('forget the spare that was known');
    await greet(a, other.sshd.port, 'localhost');
    expect(readFileSync(join(a.paths.state, 'peer.json'), 'utf8')).toContain(other.b.pairing.signingKey);
    expect(await makeAgain(a, order('localhost', other.b))).toEqual([]);
  });

  it('that cannot be reached yet is not taken for the old one either', async () => {
    await using pair = await startPair();
    await greet(pair.a, pair.sshd.port);
    const made = await makeAgain(pair.a, { ...order('localhost', pair.b), passiveHostKey: undefined } as InstallOrder);
    expect(made.join()).toContain('forget the spare that was known');
  });

  it('name of the same machine keeps the pairing', async () => {
    await using pair = await startPair();
    await greet(pair.a, pair.sshd.port);
    expect((await makeAgain(pair.a, order('localhost', pair.b))).join()).not.toContain('forget');
  });
});

describe('an active that was installed anew', () => {
  it('is the one whose key a spare lets ask after its promotion, once its line stands in the fact', async () => {
    await using pair = await createAgentPair();
    const { a, b } = pair;
    await startBoth(pair);
    await a.stop();
    loseEverything(a);
    const line = lastLine(a.command('install', '--active', '--passive-master', '127.0.0.1').output);
    const key = line.split(' ')[1] ?? 'no key';
    b.setFacts({ pe_failover_key: line });
    await b.says(/Paired with mastera\.test/);
    b.setFacts({ pe_failover_mode: 'active', pe_failover_passive_master: '127.0.0.1' });
    await b.says(/Promoted: epoch 2\./);
    const keys = readFileSync(pathsBelow(b.root).authorizedKeys, 'utf8');
    expect(keys).toContain('--hello-only');
    expect(keys).toContain(key);
  });
});
