import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Goods } from '../../src/drops/delivery.ts';
import type { Sender } from '../../src/drops/sender.ts';
import { peerIn } from '../../src/rules/gate.ts';
import { formatPairing } from '../../src/rules/pairing.ts';
import { programVersion } from '../../src/rules/program.ts';
import { seal } from '../../src/system/sign.ts';
import { Failure } from '../../src/errors.ts';
import { createAuthorizedKeys } from '../../src/drops/authorized-keys.ts';
import { factHash, program, startPair, type TestPair } from '../helpers/pair.ts';

let pair: TestPair;
let sender: Sender;

/** The spare's transfer user in an enemy's hand: to one verb it says what it likes, the rest goes to the real gate. */
beforeAll(async () => {
  pair = await startPair();
  const { b } = pair;
  const liar = join(b.root, 'liar');
  const script = `#!/bin/sh
case $SSH_ORIGINAL_COMMAND in
"$(cat ${b.root}/verb) "*)
  nonce=$(echo "$SSH_ORIGINAL_COMMAND" | grep -ow '[0-9a-f]\\{32\\}')
  sed "s/NONCE/$nonce/" ${b.root}/lie | if [ "$(cat ${b.root}/verb)" = push ]; then cat >&2; else cat; fi
  exit 1 ;;
esac
exec ${program} "$@"
`;
  writeFileSync(liar, script, { mode: 0o755 });
  const ownership = { mode: 0o640 };
  const keys = createAuthorizedKeys({ path: b.paths.authorizedKeys, program: liar, root: b.root, ownership });
  await keys.write(pair.a.pairing, 'drops');
});
afterAll(() => pair[Symbol.asyncDispose]());
beforeEach(() => {
  sender = pair.sender();
});

function lie(verb: string, words: Record<string, unknown>): void {
  writeFileSync(join(pair.b.root, 'verb'), verb);
  writeFileSync(join(pair.b.root, 'lie'), `${JSON.stringify({ nonce: 'NONCE', ok: false, ...words })}\n`);
}

const goods: Goods = {
  stream: 'sync-files',
  digest: `sha256:${'0'.repeat(64)}`,
  kind: 'whole',
  pack: () => Promise.resolve([]),
};
const failureOf = async (work: Promise<unknown>): Promise<Failure> => {
  const error: unknown = await work.catch((thrown: unknown) => thrown);
  if (!(error instanceof Failure)) throw new Error(`no failure: ${String(error)}`);
  return error;
};
const deliver = (): Promise<Failure> => failureOf(sender.delivery.deliver(goods, pair.context(pair.a)));
const greet = (): Promise<Failure> => failureOf(sender.greet(AbortSignal.timeout(20_000)));

it('an answer alone does not stop the active for good, whatever it says of epochs', async () => {
  lie('push', { class: 'latched', why: 'you were overtaken' });
  expect(await deliver()).toMatchObject({ class: 'refused', why: 'you were overtaken' });
});

it('an answer that the signed greeting bears out stops it at once', async () => {
  lie('push', { class: 'latched', why: 'you were overtaken' });
  expect((await deliver()).class).toBe('refused');
  const epoch = { number: 2, id: 'b'.repeat(16) };
  await pair.spare.gate.write({ role: 'active', epoch, fact: factHash(pair.b) });
  try {
    expect(await deliver()).toMatchObject({ class: 'latched', what: 'this active was overtaken' });
  } finally {
    const none = { number: 0, id: '0'.repeat(16) };
    await pair.spare.gate.write({ role: 'passive', epoch: none, ...peerIn(pair.a.pairing), fact: factHash(pair.b) });
  }
});

it.each(['latched', 'constructor', 'interrupted', 'no such class'])(
  'a class "%s" is a refusal like any other',
  async (named) => {
    lie('hello', { class: named, why: 'no' });
    expect(await greet()).toMatchObject({ class: 'refused' });
  },
);

it('a reason of any length is a sentence in our log', async () => {
  lie('hello', { class: 'refused', why: 'x'.repeat(900_000) });
  expect((await greet()).message.length).toBeLessThan(700);
});

it('a greeting that a later version signed is refused with both versions, and what to do', async () => {
  const { signer, pairing } = pair.b;
  const told = { format: 2, at: '2026-01-01T00:00:00.000Z', program: '9.0.0', pairing: formatPairing(pairing) };
  const gate = { format: 2, role: 'passive' };
  lie('hello', { ok: true, gate: seal(signer, 'gate', gate), hello: seal(signer, 'message', told) });
  expect(await greet()).toMatchObject({
    class: 'bad-data',
    why: `is not 1; 9.0.0 of pe-failover wrote it, and this is ${programVersion}`,
    hint: 'Install the same version on both masters',
  });
});

it('an answer without end is cut off', async () => {
  lie('hello', { class: 'refused', why: 'x'.repeat(5_000_000) });
  const failure = await greet();
  expect(failure).toMatchObject({ class: 'unreachable', why: expect.stringContaining('4 MB') as string });
  expect(failure.message.length).toBeLessThan(700);
});
