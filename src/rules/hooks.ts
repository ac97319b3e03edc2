import type { CodeDifference } from './deployed-code.ts';
import { spokenDuration } from './spoken.ts';

/** What a hook of each event is told besides what all are told. Fields are those of docs/formats.md. */
export interface HookFields {
  promoted: { readonly why: string };
  demoted: { readonly why: string };
  applied: { readonly stream: string; readonly drop: DropOfHook; readonly why: string };
  held: HoldOfHook;
  unheld: HoldOfHook;
  failure: { readonly job: string };
  recovered: { readonly job: string };
  stale: { readonly stream: string; readonly limitSeconds: number };
  fresh: { readonly stream: string; readonly limitSeconds: number };
  'code-deployed': { readonly environments: readonly CodeDifference[] };
}

interface DropOfHook {
  /** NUMBER.ID */
  readonly epoch: string;
  readonly sequence: number;
}

interface HoldOfHook {
  readonly hold: string;
  readonly stream: string;
}

export type HookEvent = keyof HookFields;

/** What a hook reads: one JSON object. */
export interface HookInput {
  readonly format: 1;
  readonly event: HookEvent;
  /** The same when a hook of a promotion or demotion is run again after a crash. */
  readonly id: string;
  readonly at: string;
  readonly certname: string;
  readonly role: string;
  readonly epoch: string;
  readonly peer?: string;
  /** For people. */
  readonly text: string;
  /** Of `hooks --try`: nothing of it happened. */
  readonly sample?: true;
}

/** What happened, before it is known which master it is told of. */
export interface Happening<Event extends HookEvent = HookEvent> {
  readonly event: Event;
  readonly text: string;
  readonly fields: HookFields[Event];
}

const drop: DropOfHook = { epoch: '3.0123456789abcdef', sequence: 7 };
const hold: HoldOfHook = { hold: '0123456789ab', stream: 'sync-certs' };
const commit = '0123456789abcdef0123456789abcdef01234567';
const limit = { stream: 'sync-certs', limitSeconds: 900 };

/** An example of each: what `hooks --try` tells, and what the documentation has. */
export const hookSamples: { readonly [Event in HookEvent]: Omit<Happening<Event>, 'event'> } = {
  promoted: {
    text: 'Promoted: epoch 3.0123456789abcdef',
    fields: { why: 'the fact says active: this spare is promoted' },
  },
  demoted: {
    text: 'Demoted: epoch 3.0123456789abcdef',
    fields: { why: 'the fact says passive: this active is demoted' },
  },
  applied: {
    text: 'sync-certs is live here: 2 certificates, 1 revocation',
    fields: { stream: 'sync-certs', drop, why: '2 certificates, 1 revocation' },
  },
  held: { text: 'Held: 120 of 130 certificates vanish at once', fields: hold },
  unheld: { text: 'Held no more: 120 of 130 certificates vanish at once', fields: hold },
  failure: { text: 'the spare cannot be reached (masterb.example.com)', fields: { job: 'sync-certs' } },
  recovered: { text: 'works again after 5 min and 20 failures', fields: { job: 'sync-certs' } },
  stale: { text: 'Nothing of sync-certs was confirmed for 16 min, the limit is 15 min', fields: limit },
  fresh: { text: 'sync-certs is confirmed again after 18 min', fields: limit },
  'code-deployed': {
    text: 'The active has other code in 1 environment: production',
    fields: { environments: [{ name: 'production', commit, here: commit.replace('0', '1') }] },
  },
};

export const hookEvents = Object.keys(hookSamples) as readonly HookEvent[];
export const isHookEvent = (name: string): name is HookEvent => Object.hasOwn(hookSamples, name);

/** Where those that come with the program are put, by their name in `templates/hooks`. */
export const shippedHooks: Readonly<Record<string, string>> = { 'deploy-code': 'code-deployed/10-deploy-code' };

/** Events of one queue are told one after the other, in their order: a demotion does not overtake its promotion. */
const queues: Readonly<Record<HookEvent, string>> = {
  promoted: 'role',
  demoted: 'role',
  applied: 'applied',
  held: 'holds',
  unheld: 'holds',
  failure: 'failures',
  recovered: 'failures',
  stale: 'silence',
  fresh: 'silence',
  'code-deployed': 'code',
};
export const queueOf = (event: HookEvent): string => queues[event];

/** The role that an event says, where it says one. */
export const roleOfEvent = (event: string): 'active' | 'passive' | undefined =>
  event === 'promoted' ? 'active' : event === 'demoted' ? 'passive' : undefined;

export const maxWaiting = 100;

/** What waits, once this has come: of a role, of code, and of what was applied of a stream, only the newest counts. */
export function enqueue<Due extends Happening>(
  waiting: readonly Due[],
  next: Due,
): { readonly waiting: readonly Due[]; readonly lost: number } {
  const key = replacedBy(next);
  const others = key === undefined ? waiting : waiting.filter((one) => replacedBy(one) !== key);
  const all = [...others, next];
  return { waiting: all.slice(-maxWaiting), lost: Math.max(0, all.length - maxWaiting) };
}

function replacedBy({ event, fields }: Happening): string | undefined {
  if (roleOfEvent(event) !== undefined) return 'role';
  if (event === 'code-deployed') return event;
  return event === 'applied' && 'stream' in fields ? `applied ${fields.stream}` : undefined;
}

/** A file or directory as it lies there. */
export interface FoundHook {
  readonly path: string;
  readonly kind: 'file' | 'directory' | 'link' | 'other';
  readonly mode: number;
  readonly uid: number;
}

export type HookStanding =
  | { readonly is: 'good' }
  /** Left alone, as an admin may want it. */
  | { readonly is: 'off'; readonly why: string }
  | { readonly is: 'refused'; readonly why: string; readonly hint: string };

const runnable = /^[A-Za-z0-9_-]+$/;

/** May this be run? As run-parts decides, and nothing that another than the owners could have written. */
export function judgeHook(name: string, found: FoundHook, owners: readonly number[]): HookStanding {
  if (!runnable.test(name)) return { is: 'off', why: 'its name has more than letters, digits, - and _' };
  if (found.kind === 'directory') return { is: 'off', why: 'it is a directory' };
  if (found.kind === 'file' && (found.mode & 0o111) === 0) return { is: 'off', why: 'it is not executable' };
  return judgeWriters(found, owners) ?? { is: 'good' };
}

/** What is wrong with a directory of hooks. */
export function judgeHookDirectory(found: FoundHook, owners: readonly number[]): HookStanding {
  if (found.kind === 'directory') return judgeWriters(found, owners) ?? { is: 'good' };
  return {
    is: 'refused',
    why: `${found.path} is no directory`,
    hint: `Move it away: mv ${found.path} ${found.path}.old`,
  };
}

function judgeWriters({ path, kind, mode, uid }: FoundHook, owners: readonly number[]): HookStanding | undefined {
  const refused = (why: string, hint: string): HookStanding => ({ is: 'refused', why, hint });
  const what = kind === 'directory' ? `${path}: the directory` : 'it';
  if (kind === 'link')
    return refused('it is a link', `Put a copy in its place: cp --remove-destination "$(readlink -f ${path})" ${path}`);
  if (kind === 'other') return refused('it is no file', `Type: rm ${path}`);
  const [owner = 0] = owners;
  if (!owners.includes(uid)) return refused(`${what} belongs to user ${uid}`, `Type: chown ${owner} ${path}`);
  if ((mode & 0o022) !== 0) return refused(`${what} may be written by others`, `Type: chmod go-w ${path}`);
  return undefined;
}

/** How a hook ended. */
export interface HookEnd {
  /** `promoted/10-dns`. */
  readonly name: string;
  /** Undefined: it ended well. */
  readonly failed?: string;
  /** The first lines that it printed, and those of its standard error. */
  readonly said: readonly string[];
  readonly complained: readonly string[];
  readonly elapsedMs: number;
}

const saidLines = 5;
const lineLength = 500;
export const shortLines = (text: string, most = saidLines): string[] =>
  text
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '')
    .slice(0, most)
    .map((line) => (line.length > lineLength ? `${line.slice(0, lineLength)} ...` : line));

/** The sentence for a hook that failed: its own first complaint says most. */
export function hookWarning(event: HookEvent, { name, failed, complained }: HookEnd): string {
  const [said] = complained;
  const again = roleOfEvent(event) === undefined ? '' : '. It is not run again by itself';
  return `Hook ${name} ${failed ?? 'failed'}${said === undefined ? '' : `: ${said}`}${again}. To try it, type: pe-failover hooks --try ${event}`;
}

/** What the log has of a hook that ended well: each change of roles, and of the others what they print. */
export function hookLines(event: HookEvent, { name, said, elapsedMs }: HookEnd): string[] {
  const done = roleOfEvent(event) === undefined ? [] : [`Hook ${name} is done after ${spokenDuration(elapsedMs)}`];
  return [...done, ...said.map((line) => `Hook ${name} says: ${line}`)];
}
