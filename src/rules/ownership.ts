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

const lists = ['owners', 'schemas', 'extensionRights', 'extensionRows', 'defaultRights', 'givenOn'] as const;

/** False for what another version of the program sent. Privileges stand in statements as they are. */
export function isOwnership(value: unknown): value is Ownership {
  if (typeof value !== 'object' || value === null) return false;
  const parts = value as Readonly<Record<string, unknown>>;
  if (!lists.every((name) => Array.isArray(parts[name]))) return false;
  const { schemas, extensionRights, defaultRights } = value as Ownership;
  return [...schemas, ...extensionRights, ...defaultRights].every(
    ({ rights }) => Array.isArray(rights) && (rights as readonly Right[]).every(hasPrivilege),
  );
}

const hasPrivilege = ({ privilege }: Right): boolean => /^[A-Z]+( [A-Z]+)*$/.test(privilege);

/** Every role that must be there. */
export function rolesOfOwnership({ owners, schemas, extensionRights, defaultRights }: Ownership): string[] {
  const lists = [...schemas, ...extensionRights, ...defaultRights].flatMap(({ rights }) => rights);
  const grantees = lists.flatMap(({ grantee }) => (grantee === null ? [] : [grantee]));
  const named = [...owners, ...defaultRights].map(({ role }) => role);
  return [...new Set([...named, ...schemas.map(({ owner }) => owner), ...grantees])];
}
