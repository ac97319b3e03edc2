/** One right that an access list gives; no grantee means everybody. */
export interface Right {
  readonly grantee: string | null;
  readonly privilege: string;
  readonly grantable: boolean;
}

export interface OwnerOfThings {
  readonly role: string;
  readonly things: number;
  /** One of them, such as `table public.roles`. */
  readonly first: string;
}

/** To whom the things of a database belong, as far as a load by an unprivileged role does not bring it about by itself. */
export interface Ownership {
  /** Of all but schemas and extensions. */
  readonly owners: readonly OwnerOfThings[];
  readonly schemas: readonly {
    readonly name: string;
    readonly owner: string;
    readonly comment: string | null;
    readonly rights: readonly Right[];
  }[];
  /** Of members of extensions whose rights were changed; without those of their owners. */
  readonly extensionRights: readonly ExtensionRights[];
  /** Tables of extensions with rows that a dump has. */
  readonly extensionRows: readonly string[];
  readonly defaultRights: readonly DefaultRights[];
  /** Things with rights that came from a role which does not own them. */
  readonly givenOn: readonly { readonly thing: string; readonly by: string }[];
}

export interface ExtensionRights {
  /** As PostgreSQL identifies it: `function`, `public.citext_eq(...)`. */
  readonly type: string;
  readonly identity: string;
  readonly rights: readonly Right[];
}

/** What things that a role makes later will have. */
export interface DefaultRights {
  readonly role: string;
  readonly schema: string | null;
  /** PostgreSQL's letter for the kind of thing. */
  readonly kind: string;
  readonly rights: readonly Right[];
}

type Fields = Readonly<Record<string, unknown>>;
const isText = (value: unknown): value is string => typeof value === 'string';
const isTextOrNull = (value: unknown): boolean => value === null || isText(value);
const are = (list: unknown, is: (fields: Fields) => boolean): boolean =>
  Array.isArray(list) && list.every((one) => typeof one === 'object' && one !== null && is(one as Fields));

// Privileges stand in statements as they are.
const isRight = ({ grantee, privilege, grantable }: Fields): boolean =>
  isTextOrNull(grantee) && typeof grantable === 'boolean' && isText(privilege) && /^[A-Z]+( [A-Z]+)*$/.test(privilege);
const areRights = (list: unknown): boolean => are(list, isRight);

const checks: Readonly<Record<keyof Ownership, (list: unknown) => boolean>> = {
  owners: (list) => are(list, ({ role, things, first }) => isText(role) && typeof things === 'number' && isText(first)),
  schemas: (list) =>
    are(list, ({ name, owner, comment, rights }) => {
      return isText(name) && isText(owner) && isTextOrNull(comment) && areRights(rights);
    }),
  extensionRights: (list) =>
    are(list, ({ type, identity, rights }) => isText(type) && isText(identity) && areRights(rights)),
  extensionRows: (list) => Array.isArray(list) && list.every(isText),
  defaultRights: (list) =>
    are(list, ({ role, schema, kind, rights }) => {
      // The kinds that can be set here: see database-rights.ts.
      return isText(role) && isTextOrNull(schema) && isText(kind) && /^[rSfTnL]$/.test(kind) && areRights(rights);
    }),
  givenOn: (list) => are(list, ({ thing, by }) => isText(thing) && isText(by)),
};

/** False for what another version of the program sent. */
export function isOwnership(value: unknown): value is Ownership {
  if (typeof value !== 'object' || value === null) return false;
  const parts = value as Fields;
  return Object.entries(checks).every(([name, isSound]) => isSound(parts[name]));
}

/** Every role that must be there. */
export function rolesOfOwnership({ owners, schemas, extensionRights, defaultRights }: Ownership): string[] {
  const lists = [...schemas, ...extensionRights, ...defaultRights].flatMap(({ rights }) => rights);
  const grantees = lists.flatMap(({ grantee }) => (grantee === null ? [] : [grantee]));
  const named = [...owners, ...defaultRights].map(({ role }) => role);
  return [...new Set([...named, ...schemas.map(({ owner }) => owner), ...grantees])];
}
