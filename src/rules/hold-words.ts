import type { CaBrake } from './brakes-ca.ts';
import type { ClassifierBrake } from './brakes-classifier.ts';
import type { DatabaseBrake } from './brakes-database.ts';
import type { FilesBrake } from './brakes-files.ts';

/** Everything for which something waits for a person. */
export type HoldRule =
  CaBrake | ClassifierBrake['rule'] | DatabaseBrake['rule'] | FilesBrake['rule'] | 'database-failed';

/** What an admin must know of a rule to decide: each a sentence without its full stop. */
export interface HoldWords {
  /** What waits. */
  readonly held: string;
  /** What goes on all the same. */
  readonly live: string;
  readonly release: string;
  readonly discard: string;
}

const removals = {
  live: 'new certificates and revocations go live',
  release: 'these certificates are removed here; copies are kept in the archive',
  discard: 'they stay here; more that vanish are a hold of their own',
};
const groups = {
  held: 'the whole import of node groups',
  live: 'the node groups that are here, and everything but node groups',
  release: "the active's node groups are imported; the tree that they replace is kept in archive/replaced-groups",
  discard: 'the node groups here stay, and get no change until the active has these groups again',
};
const database = {
  held: 'the whole database of the active, loaded and checked',
  live: 'the database that was here serves on; all else of the active goes live',
  release: 'it goes live at once: its services stop for the exchange',
  discard: "the database here stays, and gets no change while the active's differs like this",
};
const files = {
  held: 'the removal of these files',
  live: 'new and changed files go live',
  release: 'they are removed here, but for those that the active has again; copies are kept in archive/replaced-files',
  discard: "they stay here, as this master's own",
};

/** A rule without its words does not compile. */
export const holdWords: Readonly<Record<HoldRule, HoldWords>> = {
  'ca-changed': {
    held: 'the CA certificate or key of the active',
    live: 'certificates and revocations that the CA here signed go live',
    release: "the active's takes the place of the one here, which is kept in the archive",
    discard: 'the one here stays',
  },
  'crl-lost': {
    held: 'the end of these revocations',
    live: 'what is listed stays revoked; new certificates and revocations go live',
    release: "the active's CRL goes live, and they are no longer revoked here",
    discard: 'they stay revoked here',
  },
  'crl-unmerged': {
    held: "the active's CRL",
    live: 'the CRL that is here stays in force; new certificates go live',
    release: "the active's CRL goes live, and what was revoked here only is no longer revoked",
    discard: 'the CRL that is here stays',
  },
  'ca-source-empty': { held: 'the removal of all certificates', ...removals },
  'certificates-vanish': { held: 'the removal of these certificates', ...removals },
  'source-empty': groups,
  'groups-vanish': groups,
  'root-rule-changed': {
    ...groups,
    release: 'all other changes are imported, now and later; the rule of the root group stays as it is here',
    discard: 'the node groups here stay, and get no change until the two rules are the same',
  },
  'files-source-empty': files,
  'files-vanish': files,
  'rows-vanish': database,
  'administrators-vanish': database,
  'database-failed': {
    held: 'this content of the database, which failed here',
    live: 'the database that was here serves on; another dump is tried by itself',
    release: 'it is tried again',
    discard: 'it stays refused',
  },
};

/** Behind a reason, in a line of the log and in a receipt. */
export const letThrough = (id: string): string => `To let it through, type: pe-failover release ${id}`;
