import { Failure } from '../errors.ts';
import type { Refuse } from './fields.ts';
import { parseGroups, type Group } from './groups.ts';
import {
  count,
  list,
  map,
  matching,
  object,
  oneOf,
  text,
  time,
  tuple,
  yesNo,
  type Shape,
  type Shaped,
} from './shapes.ts';

/** One part of an audit: what was found, or why it could not be asked, or why this master has no such thing. */
export type Part<Value> = { readonly found: Value } | { readonly failed: string } | { readonly off: string };

const sentence = text(4000);
const part =
  <Value>(shape: Shape<Value>): Shape<Part<Value>> =>
  (value, where, refuse) => {
    const { failed, off } = object({}, { failed: sentence, off: sentence })(value, where, refuse);
    if (failed !== undefined) return { failed };
    return off === undefined ? object({ found: shape })(value, where, refuse) : { off };
  };

/** More of these are compared as a whole: an answer has no room for them. */
export const mostListed = 80_000;

const hex = (digits: number): Shape<string> => matching(new RegExp(`^[0-9a-f]{1,${digits}}$`));
const name = text(255);
const path = text(4096);
const serial = hex(40);
/** Keyed by a nonce of this comparison: nothing can be guessed from it. */
const mac = matching(/^[0-9a-f]{32}$/);
const digest = matching(/^sha256:[0-9a-f]{64}$/);

const certificate = object(
  { name: text(500), fingerprint: hex(64), subject: hex(8000), notAfter: time },
  { names: list(1000, name), ppCliAuth: yesNo },
);

const ca = object(
  {
    /** Of ca_crt.pem, in its order. */
    authorities: list(20, certificate),
    /** Whether the key of the first one lies here. */
    hasKey: yesNo,
    /** How many, and the digest of all; each one as name, serial, and the beginning of its sha256. */
    certificates: object({ count, digest }, { each: list(mostListed, tuple(name, serial, hex(12))) }),
    /** Lines as serial, name, begin and end in seconds since 1970. */
    inventory: object({ count, digest }, { each: list(mostListed, tuple(serial, name, count, count)) }),
    /** Issuer: its name as DER in hexadecimal. */
    lists: list(
      20,
      object({ issuer: hex(8000), revoked: list(1_000_000, serial) }, { number: serial, nextUpdate: time }),
    ),
    /** In signed/ and no certificate of this CA. */
    strange: list(100, object({ name, why: sentence })),
    /** Of certificates whose file was written within the last minutes. */
    recent: list(mostListed, name),
    /** Something came into signed/ or went, or the CRL changed, within the last minutes. */
    justChanged: yesNo,
    /** What never travels, by the configuration. */
    excluded: list(10_000, name),
  },
  { serial },
);

const groups: Shape<readonly Group[]> = (value) => parseGroups(JSON.stringify(value ?? null));

const classifier = object({
  /** Each value of a parameter or variable as its mac. */
  groups,
  /** What is exchanged besides the certnames, and what counts as the platform's. */
  hostMap: list(1000, object({ active: name, passive: name })),
  infrastructure: list(1000, name),
});

const database = object(
  {
    major: count,
    /** Without what changes by use, and of all. */
    digest,
    wholeDigest: digest,
    tables: list(20_000, tuple(text(300), count, mac)),
    definitions: mac,
    sequences: mac,
  },
  {
    /** What is loaded beside it, and when it goes live, or why not. */
    staged: object({ digest, whole: digest, when: sentence }),
    /** Key files that go live with it. */
    needs: list(100, path),
    /** A content that did not go live, and why. */
    quarantined: object({ digest, why: sentence }),
  },
);

/** What kind of file it is says in which component it is compared. */
const file = object({ path, kind: oneOf('secrets', 'listed', 'code', 'autosign', 'deployment'), mac, mode: count });

const environment = object(
  { name },
  {
    /** Of what r10k or Code Manager deployed, or of git. */
    commit: text(100),
    /** Whether that deployment ended well. */
    ok: yesNo,
    /** Macs of the modules that were deployed with it, and of all files. */
    modules: mac,
    tree: mac,
    why: sentence,
  },
);

const between = object({
  streams: list(100, object({ stream: name, state: text(40), why: sentence })),
  holds: list(1000, object({ id: text(40), stream: name, sentence })),
  /** Jobs of which a pass goes on for some seconds. */
  running: list(100, name),
  /** What this master made itself as a spare, and the other one shall have. */
  madeHere: object({ certificates: list(10_000, name), revocations: list(10_000, serial) }),
});

const audit = object(
  {
    certname: name,
    role: oneOf('active', 'passive', 'suspended'),
    platform: text(40),
    ca: part(ca),
    /** The certificate of this master, as it stands in Puppet's ssldir. */
    certificate: part(certificate),
    classifier: part(classifier),
    databases: map(100, part(database)),
    files: part(list(20_000, file)),
    environments: part(list(5000, environment)),
    gems: part(list(5000, text(200))),
    /** Packages and what else has a version. */
    builds: part(map(1000, text(200))),
    /** As `puppet config print` says. */
    settings: part(map(100, text(4096))),
    between: part(between),
  },
  { epoch: text(60) },
);

/** What one root sees of its own master: what `compare` is made of. */
export type Audit = Shaped<typeof audit>;
export type CaAudit = Shaped<typeof ca>;
export type CertificateAudit = Shaped<typeof certificate>;
export type ClassifierAudit = Shaped<typeof classifier>;
export type DatabaseAudit = Shaped<typeof database>;
export type FileAudit = Shaped<typeof file>;
export type EnvironmentAudit = Shaped<typeof environment>;
export type BetweenAudit = Shaped<typeof between>;

/** Of what the other master said. Throws `bad-data`. */
export function parseAudit(value: unknown): Audit {
  const refuse: Refuse = (where, why) => new Failure('bad-data', 'audit refused', { where, why });
  return audit(value, 'audit', refuse);
}

/** With its maps as objects, for JSON. */
export const packedAudit = (whole: Audit): unknown => ({
  ...whole,
  databases: Object.fromEntries(whole.databases),
  builds: packedPart(whole.builds),
  settings: packedPart(whole.settings),
});

const packedPart = (packed: Part<ReadonlyMap<string, string>>): unknown =>
  'found' in packed ? { found: Object.fromEntries(packed.found) } : packed;
