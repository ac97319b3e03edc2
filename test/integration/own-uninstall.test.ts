import { expect, it } from 'vitest';
import { machine, pairingLineOf, type OwnSystem } from '../helpers/own-system.ts';

const line = await pairingLineOf('mastera.test');
const asSpare = ['install', '--passive', '--auth-key', line];

/** What the tools that edit users leave behind, whatever they did. */
const ofTools = /^\/etc\/(?:(?:passwd|shadow|group|gshadow|subuid|subgid)-?|\.pwd\.lock)$|^\/(?:run|tmp)(?:\/|$)/;
/** Directories that are others', in which something of ours was, or that any part of Puppet may have made. */
const shared = new Set(
  ['/etc', '/etc/systemd', '/etc/systemd/system', '/home', '/opt', '/opt/puppetlabs', '/opt/puppetlabs/facter'].concat([
    '/opt/puppetlabs/facter/facts.d',
    '/var',
    '/var/lib',
    '/var/log',
    '/var/log/puppetlabs',
  ]),
);
const accounts = (own: OwnSystem): string => own.sh('cat /etc/passwd /etc/group; cut -d: -f1,2 /etc/shadow');

/** Paths that are there now and were not before, or are another. */
function since(before: ReadonlyMap<string, string>, own: OwnSystem): string[] {
  const now = own.written();
  return [...now]
    .filter(([path, what]) => before.get(path) !== what && !ofTools.test(path) && !shared.has(path))
    .map(([path]) => path);
}

it('leaves configuration and data alone, and of the rest nothing', async (context) => {
  await using own = await machine(context);
  const [before, had] = [own.written(), accounts(own)];
  own.command(...asSpare);
  own.systemctl();
  const { code, output } = own.command('uninstall');
  expect(code, output).toBe(0);
  expect(own.systemctl()).toEqual([
    'disable pe-failover.service',
    'disable pe-failover-recover.service',
    'stop -- pe-failover.service',
    'daemon-reload',
    'daemon-reload',
  ]);
  expect(accounts(own)).toBe(had);
  const kept = /^\/(etc\/puppetlabs|var\/lib\/pe_failover|var\/log\/puppetlabs|opt\/puppetlabs)/;
  expect(since(before, own).filter((path) => !kept.test(path))).toEqual([]);
  expect(own.read('/etc/puppetlabs/pe_failover/keys/signing.pem')).toContain('PRIVATE KEY');
  expect(own.read('/opt/puppetlabs/facter/facts.d/pe_failover.yaml')).toContain('passive');
  expect(own.run('test', '-e', '/run/pe_failover').code).toBe(1);
  expect(own.command('uninstall').output).toContain('Nothing to remove.');

  expect(own.command(...asSpare).code).toBe(0);
});

it('removes everything with --purge, but for a fact and a key that are not ours', async (context) => {
  await using own = await machine(context);
  const before = own.written();
  own.command(...asSpare);
  const fact = '/opt/puppetlabs/facter/facts.d/pe_failover.yaml';
  own.write(fact, `${own.read(fact)}rack: twelve\n`);
  own.sh('echo "ssh-ed25519 AAAA of-an-admin" >>/home/pe-transfer/.ssh/authorized_keys');
  const first = own.command('uninstall', '--purge');
  expect(first.code, first.output).toBe(0);
  expect(own.read(fact)).toBe('---\nrack: twelve\n');
  expect(own.read('/home/pe-transfer/.ssh/authorized_keys')).toBe('ssh-ed25519 AAAA of-an-admin\n');
  expect(first.output).toContain('Left: the home /home/pe-transfer');
  own.sh(`rm -r ${fact} /home/pe-transfer`);

  own.write('/etc/puppetlabs/pe_failover/pe_failover.yaml', '', 0o600);
  own.command(...asSpare);
  expect(own.command('uninstall', '--purge').code).toBe(0);
  expect(since(before, own)).toEqual([]);
});

it('ends what runs as the transfer user, and nothing of anybody else', async (context) => {
  await using own = await machine(context);
  own.command(...asSpare);
  own.sh('useradd bystander');
  const started = (user: string): void => {
    own.sh(`setpriv --reuid ${user} --regid ${user} --clear-groups sh -c "trap : TERM; sleep 600" >/dev/null 2>&1 &`);
  };
  started('pe-transfer');
  started('bystander');
  expect(own.command('uninstall').output).toContain('end what runs as pe-transfer');
  expect(own.run('id', 'pe-transfer').code).toBe(1);
  expect(own.sh('ps -u bystander -o comm=')).toContain('sleep');
});

it('leaves a user whom an admin had before', async (context) => {
  await using own = await machine(context);
  own.sh('useradd --system carrier');
  own.write('/etc/puppetlabs/pe_failover/pe_failover.yaml', 'transfer: {user: carrier}\n', 0o600);
  own.command(...asSpare);
  const { code, output } = own.command('uninstall', '--purge');
  expect(code, output).toBe(0);
  expect(output).toContain('Left: the user carrier, who was there before.');
  expect(own.run('id', 'carrier').code).toBe(0);
});

it('lists every change beforehand, and makes none', async (context) => {
  await using own = await machine(context);
  own.command(...asSpare);
  own.systemctl();
  const before = own.written();
  const listed = own
    .command('uninstall', '--purge', '--dry-run')
    .output.split('\n')
    .filter((one) => one.startsWith('would '));
  expect(own.written()).toEqual(before);
  expect(own.systemctl()).toEqual([]);
  const made = own.command('uninstall', '--purge').output.split('\n');
  expect(listed.map((one) => one.slice('would '.length))).toEqual(made.slice(0, listed.length));
  expect(listed.length).toBeGreaterThan(10);
});

it('refuses while an agent runs that systemd does not know of', async (context) => {
  await using own = await machine(context);
  own.command(...asSpare, '--no-start');
  const socket = '/run/pe_failover/control.sock';
  own.sh(`pe-failover agent >/dev/null 2>&1 & echo $! >/tmp/pid; until [ -e ${socket} ]; do sleep 0.05; done`);
  const { code, output } = own.command('uninstall');
  expect({ code, output }).toMatchObject({ code: 75, output: expect.stringContaining('an agent runs here') as string });
  expect(own.run('id', 'pe-transfer').code).toBe(0);
  own.sh(`kill $(cat /tmp/pid); while [ -e ${socket} ]; do sleep 0.05; done`);
  expect(own.command('uninstall').code).toBe(0);
});

it('is finished by the next one wherever it is killed', async (context) => {
  await using own = await machine(context);
  const before = own.written();
  own.command(...asSpare);
  const ends: string[] = [];
  for (;;) {
    const { code, output } = own.program('installer', { uninstall: { purge: true, dryRun: false } });
    if (code === 0) break;
    expect(output).not.toContain('pe-failover:');
    ends.push(output.trim().split('\n').at(-1) ?? '');
    expect(ends.length).toBeLessThan(30);
  }
  expect(ends.length).toBeGreaterThan(10);
  expect(new Set(ends).size).toBe(ends.length);
  expect(since(before, own)).toEqual([]);
});
