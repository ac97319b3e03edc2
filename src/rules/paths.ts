/** Where everything of one master lies. With a root other than `/`, all but `run` lies below it. */
export interface Paths {
  readonly root: string;
  /** Configuration, root only. */
  readonly config: string;
  /** Executables of the admin's, in a directory for each event. */
  readonly hooks: string;
  readonly keys: {
    readonly directory: string;
    readonly transfer: string;
    readonly signing: string;
    readonly knownHosts: string;
    /** Of a change of keys: those that take the place of the ones above. */
    readonly next: { readonly transfer: string; readonly signing: string };
  };
  /** `pe_failover_mode` and the rest: what an admin edits. */
  readonly fact: string;
  /** Where Debian's own facter finds it. */
  readonly facterLink: string;
  /** systemd's, world-readable. */
  readonly machineId: string;
  readonly data: string;
  readonly state: string;
  readonly streams: string;
  readonly holds: string;
  readonly locks: string;
  /** Signed by root, read by the gate. */
  readonly gate: string;
  readonly hello: string;
  readonly receipts: string;
  /** What was sent or applied here, for `history`. */
  readonly drops: string;
  readonly status: string;
  readonly madeHere: string;
  /** Answers to the orders of the other master. */
  readonly replies: string;
  readonly journal: string;
  readonly outbox: string;
  readonly inbox: string;
  readonly taken: string;
  readonly archive: string;
  /** Content of the accepted sets, by sha256. */
  readonly store: string;
  /** Key files that wait for the switch of their database. */
  readonly keyFiles: string;
  /** Room for captures, on the file system of the outbox. */
  readonly work: string;
  /** What the active has deployed, on both: it travels with `sync-files`. */
  readonly deployedCode: string;
  readonly events: string;
  readonly run: string;
  readonly control: string;
  /** What the web process may see. */
  readonly web: string;
  /** Home of the transfer user. */
  readonly home: string;
  readonly authorizedKeys: string;
}

/** `run` is where sockets go: /run/pe_failover, or a short private directory when there is a root (see runDirectory). */
export function pathsFor(root: string, run: string): Paths {
  const below = (path: string): string => (root === '/' ? path : `${root}${path}`);
  const [config, data] = [below('/etc/puppetlabs/pe_failover'), below('/var/lib/pe_failover')];
  const [keys, state] = [`${config}/keys`, `${data}/state`];
  const home = below('/home/pe-transfer');
  return {
    root,
    config: `${config}/pe_failover.yaml`,
    hooks: `${config}/hooks.d`,
    keys: keysIn(keys),
    fact: below('/opt/puppetlabs/facter/facts.d/pe_failover.yaml'),
    facterLink: below('/etc/facter/facts.d/pe_failover.yaml'),
    machineId: below('/etc/machine-id'),
    data,
    ...inState(state),
    holds: `${data}/holds`,
    journal: `${data}/journal`,
    outbox: `${data}/outbox`,
    inbox: `${data}/inbox`,
    taken: `${data}/taken`,
    archive: `${data}/archive`,
    store: `${data}/store`,
    keyFiles: `${data}/key-files`,
    work: `${data}/work`,
    deployedCode: `${data}/deployed-code.json`,
    events: below('/var/log/puppetlabs/pe_failover/events.jsonl'),
    run,
    control: `${run}/control.sock`,
    web: `${run}/web`,
    home,
    authorizedKeys: `${home}/.ssh/authorized_keys`,
  };
}

const inState = (state: string) => ({
  state,
  streams: `${state}/streams`,
  locks: `${state}/locks`,
  gate: `${state}/gate.json`,
  hello: `${state}/hello.json`,
  receipts: `${state}/receipts`,
  drops: `${state}/drops`,
  status: `${state}/status.json`,
  madeHere: `${state}/made-here.json`,
  replies: `${state}/replies`,
});

const keysIn = (directory: string): Paths['keys'] => ({
  directory,
  transfer: `${directory}/transfer`,
  signing: `${directory}/signing.pem`,
  knownHosts: `${directory}/known_hosts`,
  next: { transfer: `${directory}/next-transfer`, signing: `${directory}/next-signing.pem` },
});

/** An ssh control socket's directory must be short (49 bytes), whatever the root; `rootHash8` is of its real path. */
export const runDirectory = (root: string, uid: number, rootHash8: string): string =>
  root === '/' ? '/run/pe_failover' : `/tmp/pe-failover-${uid}-${rootHash8}`;
