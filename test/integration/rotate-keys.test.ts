import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { manifestName, signatureName } from '../../src/rules/manifest.ts';
import { fingerprint, isSealedBy, loadSigner } from '../../src/system/sign.ts';
import {
  createAgentPair,
  filesOnly,
  secretOf,
  startBoth,
  type AgentMaster,
  type AgentPair,
} from '../helpers/agents.ts';
import { pathsBelow } from '../helpers/pair.ts';
import { askSpareOften, copyKeys, gateOf, logins, rotateKeys } from '../helpers/rotation.ts';
import { until } from '../helpers/trees.ts';

let pair: AgentPair;
beforeEach(async () => {
  pair = await createAgentPair(filesOnly);
});
afterEach(async () => {
  clearInterval(timer);
  await pair[Symbol.asyncDispose]();
});

const nonce = '0123456789abcdef';
const changing = 60_000;

let timer: NodeJS.Timeout | undefined;

/** Changes the one file that travels, again and again; its end gives what it wrote last. */
function keepWriting(master: AgentMaster): () => string {
  let count = 0;
  const write = (): void => writeFileSync(secretOf(master), `content ${(count += 1)}`);
  timer = setInterval(write, 150);
  return () => {
    clearInterval(timer);
    return `content ${count}`;
  };
}

const arrives = (master: AgentMaster, content: string): Promise<void> =>
  until(`${content} is on ${master.certname}`, () => readFileSync(secretOf(master), 'utf8') === content);
const failures = (): string[] => [...pair.a.log, ...pair.b.log].filter((line) => line.includes('[FAILURE]'));
const signingKeyOf = async ({ root }: AgentMaster): Promise<string> =>
  (await loadSigner(pathsBelow(root).keys.signing)).publicKey;

describe('rotate-keys', () => {
  it('on the active, while files change all the time: all arrive, nothing fails, and the old keys get nothing', async () => {
    const { a, b } = pair;
    await startBoth(pair);
    await using old = await copyKeys(a);
    await old.connect();
    const stop = keepWriting(a);
    const { code, output } = await rotateKeys(a);
    expect(code, output + a.log.join('\n') + b.log.join('\n')).toBe(0);
    await arrives(b, stop());
    expect(failures()).toEqual([]);

    const now = await signingKeyOf(a);
    expect(now).not.toBe(old.signer.publicKey);
    expect(output).toContain(fingerprint(now));
    expect(output).not.toContain('PRIVATE KEY');
    expect(gateOf(b)).toMatchObject({ peerKey: now });
    expect(gateOf(b).nextPeerKey).toBeUndefined();
    expect(logins(b)).toHaveLength(1);
    expect(old.login().output).toContain('Permission denied');
    expect(old.ask(`hello ${nonce}`).output).toContain('a key that is known no more');
    expect(old.askSigned(`receipts sync-files 0 ${nonce}`, b).output).toContain('is not signed by mastera.test');
  });

  it('on the active: a drop that the old key signed is refused afterwards, and a fact that still shows the old line takes nothing back', async () => {
    const { a, b } = pair;
    await startBoth(pair);
    await using old = await copyKeys(a);
    expect((await rotateKeys(a)).code).toBe(0);
    const home = join(
      pathsBelow(b.root).inbox,
      'sync-files/ready',
      `${gateOf(b).epoch.number}.${gateOf(b).epoch.id}-999`,
    );
    mkdirSync(`${home}.tmp`);
    writeFileSync(join(`${home}.tmp`, manifestName), '{}');
    writeFileSync(join(`${home}.tmp`, signatureName), old.signer.sign('manifest', '{}'));
    renameSync(`${home}.tmp`, home);
    await b.says(/does not carry the signature of mastera.test/);

    expect(readFileSync(b.fact, 'utf8')).toContain(old.signer.publicKey);
    expect(b.log.filter((line) => line.includes('The fact still has a line of mastera.test'))).toHaveLength(1);
    await b.stop();
    b.start();
    await b.says(/The agent of masterb.test runs/);
    writeFileSync(secretOf(a), 'after the restart');
    await arrives(b, 'after the restart');
    expect(gateOf(b).peerKey).toBe(await signingKeyOf(a));
  });

  it('on the spare, while files change all the time: all arrive, nothing fails, and the old keys get nothing', async () => {
    const { a, b } = pair;
    await startBoth(pair);
    await until('the spare is let in', () => existsSync(pathsBelow(a.root).authorizedKeys));
    await using old = await copyKeys(b);
    await old.connect();
    const greeting = readFileSync(pathsBelow(b.root).hello, 'utf8');
    const stop = keepWriting(a);
    using _asking = askSpareOften(a);
    const { code, output } = await rotateKeys(b);
    expect(code, output + a.log.join('\n') + b.log.join('\n')).toBe(0);
    await arrives(b, stop());
    expect(failures()).toEqual([]);

    const now = await signingKeyOf(b);
    expect(isSealedBy(now, 'message', greeting)).toBe(false);
    for (const name of ['hello', 'gate'] as const)
      expect(
        isSealedBy(now, name === 'gate' ? 'gate' : 'message', readFileSync(pathsBelow(b.root)[name], 'utf8')),
      ).toBe(true);
    expect(gateOf(a)).toMatchObject({ peerKey: now });
    expect(gateOf(a).nextPeerKey).toBeUndefined();
    expect(logins(a)).toHaveLength(1);
    expect(old.login().output).toContain('Permission denied');
    expect(old.ask(`hello ${nonce}`).output).toContain('a key that is known no more');
  });

  it('on both at once, and then the roles turn round', async () => {
    const { a, b } = pair;
    await startBoth(pair);
    const before = [await signingKeyOf(a), await signingKeyOf(b)];
    using _asking = askSpareOften(a);
    const both = await Promise.all([rotateKeys(a), rotateKeys(b)]);
    expect(
      both.map(({ code }) => code),
      both.map(({ output }) => output).join('\n'),
    ).toEqual([0, 0]);
    expect(await signingKeyOf(a)).not.toBe(before[0]);
    expect(await signingKeyOf(b)).not.toBe(before[1]);
    a.setFacts({ pe_failover_mode: 'passive' });
    await a.says(/this active is demoted/);
    b.setFacts({ pe_failover_mode: 'active', pe_failover_passive_master: '127.0.0.1' });
    await b.says(/Promoted: epoch/);
    writeFileSync(secretOf(b), 'the other way');
    await arrives(a, 'the other way');
    expect(failures()).toEqual([]);
  });

  it('while the other master is away says so, keeps the old keys in use, and goes on by itself', async () => {
    const { a, b } = pair;
    await startBoth(pair);
    const before = await signingKeyOf(a);
    await b.stop();
    const waiting = await rotateKeys(a, '3s');
    expect(waiting.code).toBe(69);
    expect(waiting.output).toMatch(/masterb.test has not said .* the old ones stay in use here/);
    expect(await signingKeyOf(a)).toBe(before);
    expect(a.command('status').output).toContain('Keys: ');
    b.start();
    await until('the keys are changed', async () => (await signingKeyOf(a)) !== before, changing);
    expect((await rotateKeys(a)).output).toContain('The keys are changed');
    expect(await signingKeyOf(a)).toBe(gateOf(b).peerKey);
  });
});
