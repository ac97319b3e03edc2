/** What an admin wrote into the fact file. It alone says which role this master has. */
export type Role =
  | { readonly role: 'active'; readonly passiveMaster?: string; readonly pdbPeer?: string }
  | { readonly role: 'passive'; readonly key?: string; readonly pdbPeer?: string }
  /** Nothing is sent and nothing accepted until somebody writes what `hint` says. */
  | { readonly role: 'suspended'; readonly why: string; readonly hint: string };

/** The fact file as it was found: its YAML read, or why it could not be. */
export type FactFile =
  | { readonly kind: 'missing' }
  | { readonly kind: 'unreadable'; readonly why: string }
  | { readonly kind: 'read'; readonly value: unknown };

/** Judges the fact file. Other facts in it are left alone; what belongs to the other role stays there unused. */
export function judgeRole(fact: FactFile, path: string): Role {
  const suspended = (why: string, hint = writeMode(path)): Role => ({ role: 'suspended', why, hint });
  if (fact.kind === 'missing') return suspended(`${path} does not exist`);
  if (fact.kind === 'unreadable') return suspended(`${path} cannot be read: ${fact.why}`);
  if (!isMapping(fact.value)) return suspended(`${path} holds no facts`);
  const texts = new Map<string, string>();
  for (const [name, isRight, example] of optional) {
    const value = fact.value[name];
    if (value === undefined || value === null || value === '') continue;
    if (typeof value !== 'string' || !isRight(value))
      return suspended(`${name} in ${path} is ${show(value)}`, `Write ${name}: ${example} there, or remove it`);
    texts.set(name, value);
  }
  const as = <K extends string>(key: K, name: string): Partial<Record<K, string>> => {
    const value = texts.get(name);
    return (value === undefined ? {} : { [key]: value }) as Partial<Record<K, string>>;
  };
  const mode = fact.value['pe_failover_mode'];
  const pdbPeer = as('pdbPeer', 'pe_failover_pdb_peer');
  if (mode === 'active') return { role: 'active', ...as('passiveMaster', 'pe_failover_passive_master'), ...pdbPeer };
  if (mode === 'passive') return { role: 'passive', ...as('key', 'pe_failover_key'), ...pdbPeer };
  return suspended(mode === undefined ? `pe_failover_mode is not in ${path}` : `pe_failover_mode is ${show(mode)}`);
}

/** Equal in everything that the agent acts upon. */
export const sameRole = (a: Role, b: Role): boolean => JSON.stringify(a) === JSON.stringify(b);

const writeMode = (path: string): string => `Write pe_failover_mode: active or pe_failover_mode: passive into ${path}`;

const isHost = (text: string): boolean => /^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?$/.test(text);
// eslint-disable-next-line no-control-regex
const isLine = (text: string): boolean => text.length <= 8192 && !/[\u0000-\u001f\u007f]/.test(text);

const optional = [
  ['pe_failover_passive_master', isHost, 'masterb.example.com'],
  ['pe_failover_pdb_peer', isHost, 'masterb.example.com'],
  [
    'pe_failover_key',
    isLine,
    'the pairing line of the other master, as one line (its pe-failover install --active prints it)',
  ],
] as const;

const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

// A key is public, but a wrong value may be anything: only its beginning is shown.
function show(value: unknown): string {
  if (typeof value === 'string') return value.length > 40 ? `"${value.slice(0, 40)}..."` : `"${value}"`;
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value);
  return Array.isArray(value) ? 'a list' : 'a map';
}
