import type { OwnerOfThings, Ownership } from './ownership.ts';

/** A role of this host, by what code that runs as it could do. */
export interface RoleHere {
  readonly role: string;
  /** A superuser that it is, or may become. */
  readonly superuser: string | null;
  /** More than a plain role has, such as `CREATEROLE` or `pg_read_server_files`. */
  readonly powers: readonly string[];
  /** The role that loads may act as it. */
  readonly granted: boolean;
}

/** What must be known before a database is loaded or switched. Sizes in bytes. */
export interface RestoreFacts {
  readonly database: string;
  readonly preparedTransactions: number;
  readonly slots: readonly string[];
  readonly subscriptions: readonly string[];
  /** Of the drop, and of this host. */
  readonly build: string;
  readonly buildHere: string;
  readonly major: number;
  readonly majorHere: number;
  /** Roles that own or may use something in the dump and do not exist here. */
  readonly missingRoles: readonly string[];
  /** Extensions in the dump that the allowlist does not have, and those that are not installed here. */
  readonly foreignExtensions: readonly string[];
  readonly absentExtensions: readonly string[];
  /** Role that loads. */
  readonly restorer: string;
  /** Of the live database, who gets the loaded one. */
  readonly owner: string;
  readonly ownership: Pick<Ownership, 'owners' | 'extensionRows' | 'givenOn'>;
  /** The role that loads, and the owners. */
  readonly rolesHere: readonly RoleHere[];
  /** Free where PostgreSQL keeps its data; undefined where it is another host. */
  readonly free: number | undefined;
  /** What would be free if the database of an older drop were dropped. */
  readonly supersededBytes: number;
  readonly stagingBytes: number;
  readonly walBytes: number;
  /** What is to stay free; 64 MB unless told. */
  readonly reserve?: number;
}

export interface Refusal {
  readonly why: string;
  readonly hint: string;
}

const leastReserve = 64 * 1024 * 1024;

/** Why this drop may not be restored here now, in sentences; none: it may. */
export function restoreRefusals(facts: RestoreFacts): Refusal[] {
  return [
    buildRefusal(facts),
    majorRefusal(facts),
    ...heldByOthers(facts),
    rolesRefusal(facts),
    restorerRefusal(facts),
    ...ownersOf(facts).map((owned) => ownerRefusal(facts, owned)),
    givenOnRefusal(facts),
    ...extensionRefusals(facts),
    spaceRefusal(facts),
  ].filter((refusal) => refusal !== undefined);
}

/** All reasons as one, with everything to type: an admin mends them in one go. */
export function refusalOf(facts: RestoreFacts): Refusal | undefined {
  const refusals = restoreRefusals(facts);
  if (refusals.length === 0) return undefined;
  return {
    why: refusals.map(({ why }) => why).join('; '),
    hint: [...new Set(refusals.map(({ hint }) => hint))].join('. '),
  };
}

function buildRefusal({ build, buildHere }: RestoreFacts): Refusal | undefined {
  if (build === buildHere) return undefined;
  const why = `the dump is of build ${build}, this host has ${buildHere}`;
  return { why, hint: 'Bring both masters to the same release' };
}

function majorRefusal({ major, majorHere }: RestoreFacts): Refusal | undefined {
  if (major === majorHere) return undefined;
  return {
    why: `the dump is of PostgreSQL ${major}, this host has ${majorHere}`,
    hint: 'Bring both to the same major version',
  };
}

// Each of these is bound to the live database and would stop or be lost with the swap.
function heldByOthers(facts: RestoreFacts): Refusal[] {
  const { database, preparedTransactions, slots, subscriptions } = facts;
  const refusals: Refusal[] = [];
  if (preparedTransactions > 0) {
    const why = `${database} has ${preparedTransactions} prepared transaction(s)`;
    refusals.push({ why, hint: 'SELECT gid FROM pg_prepared_xacts, then COMMIT PREPARED or ROLLBACK PREPARED' });
  }
  if (slots.length > 0) {
    const why = `${database} has replication slot(s): ${slots.join(', ')}`;
    refusals.push({ why, hint: "End the replication, then SELECT pg_drop_replication_slot('NAME')" });
  }
  if (subscriptions.length > 0) {
    const why = `${database} has subscription(s): ${subscriptions.join(', ')}`;
    refusals.push({ why, hint: 'DROP SUBSCRIPTION, or leave this database to the replica' });
  }
  return refusals;
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

function rolesRefusal({ missingRoles }: RestoreFacts): Refusal | undefined {
  if (missingRoles.length === 0) return undefined;
  const make = missingRoles.map((role) => `CREATE ROLE ${quoted(role)}`).join('; ');
  return {
    why: `PostgreSQL here has no role ${missingRoles.join(', ')}`,
    hint: `Make what the other master has: ${make}`,
  };
}

// A dump may carry code, and whoever loads it runs that.
function restorerRefusal({ restorer, rolesHere }: RestoreFacts): Refusal | undefined {
  const superuser = rolesHere.find(({ role }) => role === restorer)?.superuser ?? null;
  if (superuser === null) return undefined;
  const mend =
    superuser === restorer
      ? `ALTER ROLE ${quoted(restorer)} NOSUPERUSER`
      : `REVOKE ${quoted(superuser)} FROM ${quoted(restorer)}, or from the role between them`;
  const why = `it will not restore as a superuser, and ${restorer}, which loads, ${isOrBecomes(restorer, superuser)}`;
  return { why, hint: `Type in psql: ${mend}` };
}

const isOrBecomes = (role: string, superuser: string): string =>
  role === superuser ? 'is one here' : `may become ${superuser}, which is one here`;

/** Whom the role that loads has to act as: the owner of the database, and of what is in the dump. */
export function ownersOf({ ownership, owner, database }: Pick<RestoreFacts, 'ownership' | 'owner' | 'database'>) {
  const own = { role: owner, things: 1, first: `database ${quoted(database)}` };
  return [own, ...ownership.owners.filter(({ role }) => role !== owner)];
}

function ownerRefusal(
  { database, rolesHere, restorer, owner }: RestoreFacts,
  { role, things, first }: OwnerOfThings,
): Refusal | undefined {
  const here = rolesHere.find((one) => one.role === role);
  if (here === undefined) return undefined; // said as missing
  const { superuser, powers, granted } = here;
  const what = things > 1 ? `${first} and ${things - 1} more` : first;
  if (superuser !== null) {
    const why = `it will not restore as a superuser, and ${role}, who owns ${what}, ${isOrBecomes(role, superuser)}`;
    const other = `or give the database to a plain role: ALTER DATABASE ${quoted(database)} OWNER TO ROLE`;
    if (role === owner) return { why, hint: `Type in psql: ALTER ROLE ${quoted(superuser)} NOSUPERUSER, ${other}` };
    const give = `ALTER ${first.replace(/^[a-z -]+(?= )/, (kind) => kind.toUpperCase())} OWNER TO ${quoted(owner)}`;
    return { why, hint: `Give it to a plain role on the other master: ${give}` };
  }
  if (powers.length === 0 || granted) return undefined;
  const why = `${role}, who owns ${what}, may do more here than a plain role (${powers.join(', ')}), and so would code in the dump`;
  return { why, hint: `If you trust it, type in psql: GRANT ${quoted(role)} TO ${quoted(restorer)}` };
}

function givenOnRefusal({ ownership }: RestoreFacts): Refusal | undefined {
  const [first, ...more] = ownership.givenOn;
  if (first === undefined) return undefined;
  const others = more.length === 0 ? '' : ` (and on ${more.length} more)`;
  const why = `rights on ${first.thing}${others} were given by ${first.by}, which only a superuser can repeat`;
  const hint = `On the other master, as a superuser: REVOKE ALL ON it FROM ${quoted(first.by)} CASCADE, then GRANT all of it again`;
  return { why, hint };
}

function extensionRefusals({ database, foreignExtensions, absentExtensions, ownership }: RestoreFacts): Refusal[] {
  const refusals: Refusal[] = [];
  if (foreignExtensions.length > 0) {
    const why = `the dump needs extension(s) that are not allowed: ${foreignExtensions.join(', ')}`;
    const names = `databases: - name: ${database}, extensions: [${foreignExtensions.join(', ')}]; then type: systemctl restart pe-failover`;
    const hint = `An extension is code that a superuser installs. If you trust it, write into the configuration: ${names}`;
    refusals.push({ why, hint });
  }
  if (absentExtensions.length > 0) {
    const why = `the dump needs extension(s) that PostgreSQL here does not have: ${absentExtensions.join(', ')}`;
    refusals.push({ why, hint: 'Install their packages, as on the other master' });
  }
  if (ownership.extensionRows.length > 0) {
    const why = `the dump has rows for table(s) of an extension, which only a superuser can load: ${ownership.extensionRows.join(', ')}`;
    refusals.push({ why, hint: 'Empty them on the other master, or take this database from the list' });
  }
  return refusals;
}

const neededBytes = ({ stagingBytes, walBytes, reserve = leastReserve }: RestoreFacts): number =>
  stagingBytes + walBytes + reserve;

/** Only without the database of an older drop is there room; while there is, it waits for its minute. */
export const supersededIsInTheWay = (facts: RestoreFacts): boolean =>
  facts.free !== undefined && facts.free < neededBytes(facts) && spaceRefusal(facts) === undefined;

function spaceRefusal(facts: RestoreFacts): Refusal | undefined {
  const { supersededBytes, stagingBytes, walBytes, reserve = leastReserve } = facts;
  const free = facts.free === undefined ? undefined : facts.free + supersededBytes;
  const needed = neededBytes(facts);
  if (free === undefined || free >= needed) return undefined;
  const parts = `staging ${megabytes(stagingBytes)}, WAL ${megabytes(walBytes)}, reserve ${megabytes(reserve)}`;
  const why = `too little space: ${megabytes(free)} free beside the live one, ${megabytes(needed)} needed (${parts})`;
  return { why, hint: 'Make room in the data directory of PostgreSQL' };
}

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1024 / 1024)} MB`;
