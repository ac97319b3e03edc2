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
  /** Extensions in the dump that the allowlist does not have. */
  readonly foreignExtensions: readonly string[];
  /** Free where PostgreSQL keeps its data; undefined where it is another host. */
  readonly free: number | undefined;
  /** What would be free if the database of an older drop were dropped. */
  readonly supersededBytes: number;
  readonly stagingBytes: number;
  readonly walBytes: number;
}

export interface Refusal {
  readonly why: string;
  readonly hint: string;
}

const reserve = 64 * 1024 * 1024;

/** Why this drop may not be restored here now, in sentences; none: it may. */
export function restoreRefusals(facts: RestoreFacts): Refusal[] {
  return [
    buildRefusal(facts),
    majorRefusal(facts),
    ...heldByOthers(facts),
    rolesRefusal(facts),
    extensionsRefusal(facts),
    spaceRefusal(facts),
  ].filter((refusal) => refusal !== undefined);
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

function rolesRefusal({ missingRoles }: RestoreFacts): Refusal | undefined {
  if (missingRoles.length === 0) return undefined;
  const make = missingRoles.map((role) => `CREATE ROLE "${role.replaceAll('"', '""')}"`).join('; ');
  return {
    why: `PostgreSQL here has no role ${missingRoles.join(', ')}`,
    hint: `Make what the other master has: ${make}`,
  };
}

function extensionsRefusal({ foreignExtensions }: RestoreFacts): Refusal | undefined {
  if (foreignExtensions.length === 0) return undefined;
  const why = `the dump needs extension(s) that are not allowed: ${foreignExtensions.join(', ')}`;
  return { why, hint: 'An extension is code that a superuser installs: add it to the allowed ones if you trust it' };
}

const neededBytes = ({ stagingBytes, walBytes }: RestoreFacts): number => stagingBytes + walBytes + reserve;

/** Only without the database of an older drop is there room; while there is, it waits for its minute. */
export const supersededIsInTheWay = (facts: RestoreFacts): boolean =>
  facts.free !== undefined && facts.free < neededBytes(facts) && spaceRefusal(facts) === undefined;

function spaceRefusal(facts: RestoreFacts): Refusal | undefined {
  const { supersededBytes, stagingBytes, walBytes } = facts;
  const free = facts.free === undefined ? undefined : facts.free + supersededBytes;
  const needed = neededBytes(facts);
  if (free === undefined || free >= needed) return undefined;
  const parts = `staging ${megabytes(stagingBytes)}, WAL ${megabytes(walBytes)}, reserve ${megabytes(reserve)}`;
  const why = `too little space: ${megabytes(free)} free beside the live one, ${megabytes(needed)} needed (${parts})`;
  return { why, hint: 'Make room in the data directory of PostgreSQL' };
}

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1024 / 1024)} MB`;
