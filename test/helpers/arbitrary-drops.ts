import fc from 'fast-check';
import type { Confirmation } from '../../src/rules/confirm.ts';
import type { Epoch } from '../../src/rules/epoch.ts';
import type { AcceptedDrop, Hello } from '../../src/rules/hello.ts';
import { pathProblem, type Manifest, type ManifestFile } from '../../src/rules/manifest.ts';
import type { Pairing } from '../../src/rules/pairing.ts';
import { receiptStates, type Receipt } from '../../src/rules/receipt.ts';

const hex = (digits: number) =>
  fc.uint8Array({ minLength: digits / 2, maxLength: digits / 2 }).map((bytes) => Buffer.from(bytes).toString('hex'));
export const anEpoch: fc.Arbitrary<Epoch> = fc.record({ number: fc.nat(999_999_999), id: hex(16) });
export const aStream = fc.constantFrom('sync-certs', 'sync-files', 'nc-dump', 'db-dump.pe-rbac');
export const aDigest = hex(64).map((digits) => `sha256:${digits}`);
const aCertname = fc.stringMatching(/^[a-z0-9]{1,8}(\.[a-z0-9]{1,8}){0,3}$/);
const aTime = fc.constantFrom('2026-11-21T04:00:00.000Z', '1970-01-01T00:00:00.000Z');
const aSequence = fc.integer({ min: 1, max: 999_999_999 });

const anAccount = fc.constantFrom('root', 'pe-puppet', 'puppet', '1000', 'machine$');
const aPart = fc.constantFrom(
  'a',
  'b.pem',
  'keys.json',
  '.hidden',
  'ä',
  '日本',
  ' x',
  '-rf',
  '$(x)',
  "it's",
  '*',
  'a:b',
  '...',
);
const aPath = fc
  .array(aPart, { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join('/'))
  .filter((path) => pathProblem(path) === undefined);

const aFile = (path: string): fc.Arbitrary<ManifestFile> =>
  fc
    .record({ size: fc.nat(), sha256: hex(64), mode: fc.nat(0o777), owner: anAccount, group: anAccount })
    .map((file) => ({ path, ...file }));

/** Whole or appended to, as no other file may be. */
const anInventory: fc.Arbitrary<ManifestFile> = fc
  .tuple(aFile('inventory.txt'), fc.nat(), hex(64), hex(64), fc.boolean())
  .map(([file, from, prefixSha256, tailSha256, whole]) =>
    whole ? file : { ...file, append: { from: Math.min(from, file.size), prefixSha256, tailSha256 } },
  );

/** Paths of which none lies below another. */
const somePaths = fc
  .uniqueArray(aPath, { maxLength: 6 })
  .map((paths) => paths.filter((path) => !paths.some((other) => other !== path && path.startsWith(`${other}/`))));

export const aManifest: fc.Arbitrary<Manifest> = fc
  .record({
    inventory: anInventory,
    paths: somePaths.chain((paths) => fc.tuple(...paths.map(aFile)).map((files) => ({ paths, files }))),
    rest: fc.record({
      format: fc.constant(1 as const),
      stream: aStream,
      epoch: anEpoch,
      sequence: aSequence,
      source: aCertname,
      target: aCertname,
      capturedAt: aTime,
      platform: fc.constantFrom('pe', 'puppet', 'debian'),
      build: fc.string({ maxLength: 20 }),
      kind: fc.constantFrom('whole' as const, 'delta' as const),
      digest: aDigest,
      deleted: fc.constantFrom([], ['zzz-gone/at once']),
      needs: fc.constantFrom([], [{ file: 'etc/keys.json', sha256: 'a'.repeat(64) }]),
      detail: fc.constantFrom({}, { files: 1 }),
    }),
  })
  .map(({ inventory, paths: { files }, rest }) => ({
    ...rest,
    files: rest.stream === 'sync-certs' ? [inventory, ...files] : files,
  }));

export const aReceipt: fc.Arbitrary<Receipt> = fc.record({
  format: fc.constant(1 as const),
  n: aSequence,
  stream: aStream,
  epoch: anEpoch,
  sequence: aSequence,
  digest: aDigest,
  state: fc.constantFrom(...receiptStates),
  why: fc.string(),
  at: aTime,
  spare: aCertname,
});

export const aConfirmation: fc.Arbitrary<Confirmation> = fc.record({
  format: fc.constant(1 as const),
  stream: aStream,
  epoch: anEpoch,
  digest: aDigest,
  source: aCertname,
  target: aCertname,
  at: aTime,
  greeting: aTime,
});

const anAccepted = fc.record({ epoch: anEpoch, sequence: aSequence, digest: aDigest });
const confirmedToo = (drop: AcceptedDrop) => aTime.map((confirmed): AcceptedDrop => ({ ...drop, confirmed }));

export const aHello: fc.Arbitrary<Hello> = fc.record({
  format: fc.constant(1 as const),
  at: aTime,
  pairing: fc.string(),
  accepted: fc.dictionary(aStream, fc.oneof(anAccepted, anAccepted.chain(confirmedToo)), { noNullPrototype: true }),
  receipts: fc.dictionary(aStream, aSequence, { noNullPrototype: true }),
});

const aBase64 = fc.uint8Array({ minLength: 32, maxLength: 64 }).map((bytes) => Buffer.from(bytes).toString('base64'));
const aSshKey = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => {
  const type = Buffer.from('ssh-ed25519');
  const blob = Buffer.concat([Buffer.from([0, 0, 0, type.length]), type, Buffer.from([0, 0, 0, 32]), bytes]);
  return `ssh-ed25519 ${blob.toString('base64')}`;
});
export const aPairing: fc.Arbitrary<Pairing> = fc.record({
  certname: aCertname,
  transferKey: aSshKey,
  signingKey: aBase64,
  hostKey: aSshKey,
});

/** A text that was right once, with some of it cut out, doubled or exchanged. */
export const mutated = (text: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .record({
      text,
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      cut: fc.nat(12),
      put: fc.oneof(
        fc.constantFrom('', '"', '{', '[', '-1', 'null', '..', '\n', '\0', ' ', '1e999', '__proto__'),
        fc.string({ maxLength: 8 }),
      ),
    })
    .map(({ text: whole, at, cut, put }) => {
      const place = Math.floor(at * whole.length);
      return whole.slice(0, place) + put + whole.slice(place + cut);
    });
