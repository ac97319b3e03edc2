import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { agentUnit, postgresqlUnits, recoverUnit, unitText } from '../../src/rules/own-units.ts';
import { leftOut, oldest } from '../helpers/old-systemd.ts';

const from = (...path: string[]): string => readFileSync(join(import.meta.dirname, '../..', ...path), 'utf8');
const template = (name: string): string => from('templates', name);

interface Directive {
  /** The version of systemd that has it first. */
  readonly since: number;
  /** What `oldest` takes for its value, whole. */
  readonly value: RegExp;
}

const yes = /yes|no/;
const path = /\/[\w./-]+/;
const unit = /[\w-]+\.(?:service|target)/;
const command = /\/[\w./-]+(?: [\w-]+)*/; // no prefix: some are newer, and an unknown one makes a unit that does not start
const list = (word: RegExp): RegExp => new RegExp(`(?:${word.source}(?: ${word.source})*)?`);
const capability =
  /CAP_(?:AUDIT_(?:CONTROL|READ|WRITE)|CHOWN|DAC_OVERRIDE|DAC_READ_SEARCH|FOWNER|FSETID|IPC_LOCK|KILL|NET_ADMIN|NET_BIND_SERVICE|SETGID|SETUID|SYS_ADMIN|SYS_CHROOT|SYS_NICE|SYS_PTRACE|SYS_RESOURCE)/;

const directives: Readonly<Record<string, Directive>> = {
  After: { since: 1, value: list(unit) },
  Before: { since: 1, value: list(unit) },
  CPUWeight: { since: 232, value: /\d+/ },
  CapabilityBoundingSet: { since: 21, value: list(capability) },
  ConditionDirectoryNotEmpty: { since: 28, value: path },
  Description: { since: 1, value: /[^%]+/ },
  ExecStart: { since: 1, value: command },
  ExecStartPre: { since: 1, value: command },
  IOWeight: { since: 230, value: /\d+/ },
  KillMode: { since: 209, value: /control-group|process|mixed|none/ },
  LimitCORE: { since: 1, value: /\d+/ },
  LockPersonality: { since: 235, value: yes },
  MemoryMax: { since: 231, value: /\d+[KMGT]/ },
  NoNewPrivileges: { since: 187, value: yes },
  OOMPolicy: { since: 243, value: /continue|stop|kill/ },
  PrivateDevices: { since: 209, value: yes },
  PrivateMounts: { since: 239, value: yes },
  ProtectClock: { since: 245, value: yes },
  ProtectControlGroups: { since: 232, value: yes },
  ProtectKernelLogs: { since: 244, value: yes },
  ProtectKernelModules: { since: 232, value: yes },
  ProtectKernelTunables: { since: 232, value: yes },
  ProtectSystem: { since: 214, value: /yes|no|full|strict/ },
  ReadWritePaths: { since: 231, value: list(/-?\/[\w./-]+/) },
  Restart: { since: 1, value: /no|always|on-(?:success|failure|abnormal|watchdog|abort)/ },
  RestrictAddressFamilies: { since: 211, value: list(/AF_(?:UNIX|INET|INET6|NETLINK|PACKET)/) },
  RestrictNamespaces: { since: 233, value: yes },
  RestrictRealtime: { since: 231, value: yes },
  RestrictSUIDSGID: { since: 242, value: yes },
  StandardError: { since: 1, value: /inherit|null|tty|journal|syslog|kmsg|socket/ },
  SystemCallArchitectures: { since: 209, value: /native/ },
  SystemCallErrorNumber: { since: 209, value: /E[A-Z]+/ },
  SystemCallFilter: { since: 187, value: /@(?:system-service|basic-io|file-system|network-io|process|io-event)/ },
  TasksMax: { since: 227, value: /\d+/ },
  TimeoutStartSec: { since: 188, value: /\d+/ },
  TimeoutStopSec: { since: 188, value: /\d+/ },
  Type: { since: 1, value: /simple|forking|oneshot|dbus|notify|idle/ },
  WantedBy: { since: 38, value: list(unit) },
};

const words = {
  program: '/opt/pe_failover',
  journal: '/var/lib/pe_failover/journal',
  postgresql: postgresqlUnits('pe'),
  services: ['pe-console-services', 'pe-puppetdb'],
  sandbox: template('sandbox.conf'),
  files: ['/usr/local/etc/a/key'],
  web: [],
  webUser: 'pe-failover',
};
const texts = [
  ...[agentUnit, recoverUnit].map((name) => unitText(template(name), words)),
  template('transfer-user.conf'),
];
const lines = texts.flatMap((text) => text.split('\n')).filter((line) => line !== '' && !line.startsWith('#'));
const used = [...new Set(lines.filter((line) => !line.startsWith('[')).map((line) => line.split('=')[0] ?? ''))];

/** What keeps the oldest systemd from reading a line as it is meant, or from ignoring it. */
function objection(line: string): string | undefined {
  if (/^\[(?:Unit|Service|Install|Slice)\]$/.test(line)) return undefined;
  const [, name = '', value = ''] = /^(\w+)=(.*)$/.exec(line) ?? [];
  const known = directives[name];
  if (known === undefined) return `of ${line}: which version of systemd has it?`;
  if (known.since > oldest) return undefined; // "Unknown lvalue ..., ignoring"
  return new RegExp(`^(?:${known.value.source})$`).test(value) ? undefined : `systemd ${oldest} cannot read ${line}`;
}

describe('the units, as systemd 239 reads them', () => {
  it('have no line but such as it knows, with a value that it knows, or such as it leaves out whole', () => {
    expect(lines.length).toBeGreaterThan(40);
    expect(lines.map(objection).filter((what) => what !== undefined)).toEqual([]);
  });

  it('lack what the page on security says, and nothing else', () => {
    const missing = used.filter((name) => (directives[name]?.since ?? 0) > oldest).sort();
    const [, said = ''] = /systemd 239[^]*?leaves out\s([^]*?)\./.exec(from('docs/security.md')) ?? [];
    expect(missing).toEqual(leftOut);
    expect([...said.matchAll(/`(\w+)`/g)].map(([, name]) => name).sort()).toEqual(leftOut);
  });

  it.each([
    ['a value that is newer than its directive', 'SystemCallErrorNumber=kill'],
    ['a group of system calls that is newer', 'SystemCallFilter=@sandbox'],
    ['an empty family, which means none later', 'RestrictAddressFamilies=none'],
    ['a prefix of a command that is newer', 'ExecStart=:/opt/pe_failover/bin/pe-failover agent'],
    ['a way of output that is newer', 'StandardError=append:/var/log/x'],
    ['a type that is newer', 'Type=notify-reload'],
    ['a directive that nobody looked up', 'ProtectProc=invisible'],
  ])('would not be read with %s', (_, line) => expect(objection(line)).toContain(line));
});
