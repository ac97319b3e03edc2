import { lstatSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, it } from 'vitest';
import { machine, pairingLineOf, type OwnSystem } from '../helpers/own-system.ts';

const line = await pairingLineOf('mastera.test');
const asSpare = ['install', '--passive', '--auth-key', line];
const units = ['pe-failover.service', 'pe-failover-recover.service', 'pe-failover-web.service'];

function dressOf(own: OwnSystem, path: string): string {
  const { mode, uid, gid } = lstatSync(own.path(path));
  const nameOf = (file: string, id: number): string =>
    own
      .read(file)
      .split('\n')
      .map((entry) => entry.split(':'))
      .find((fields) => fields[2] === String(id))?.[0] ?? String(id);
  return `${nameOf('/etc/passwd', uid)}:${nameOf('/etc/group', gid)} ${(mode & 0o7777).toString(8)}`;
}

const dress: Readonly<Record<string, readonly string[]>> = {
  'root:root 700': [
    '/etc/puppetlabs/pe_failover',
    '/etc/puppetlabs/pe_failover/keys',
    ...['', '/promoted', '/code-deployed'].map((name) => `/etc/puppetlabs/pe_failover/hooks.d${name}`),
    '/var/log/puppetlabs/pe_failover',
    ...[
      'state/streams',
      'state/locks',
      'holds',
      'journal',
      'outbox',
      'taken',
      'archive',
      'store',
      'key-files',
      'work',
    ].map((name) => `/var/lib/pe_failover/${name}`),
  ],
  'root:root 600': ['pe_failover.yaml', 'keys/transfer', 'keys/signing.pem'].map(
    (name) => `/etc/puppetlabs/pe_failover/${name}`,
  ),
  'root:root 644': [
    '/etc/puppetlabs/pe_failover/keys/transfer.pub',
    ...units.map((unit) => `/etc/systemd/system/${unit}`),
  ],
  'root:root 755': ['/home/pe-transfer', '/opt/puppetlabs/facter/facts.d'],
  'root:pe-failover 710': ['/run/pe_failover'],
  'root:pe-failover 750': ['/run/pe_failover/web'],
  'root:pe-transfer 710': ['/var/lib/pe_failover', '/var/lib/pe_failover/state'],
  'root:pe-transfer 750': ['/var/lib/pe_failover/state/receipts', '/home/pe-transfer/.ssh'],
  'root:pe-transfer 640': [
    '/opt/puppetlabs/facter/facts.d/pe_failover.yaml',
    '/var/lib/pe_failover/state/hello.json',
    '/home/pe-transfer/.ssh/authorized_keys',
  ],
  'pe-transfer:pe-transfer 700': ['', '/messages', '/sync-certs/ready', '/sync-files', '/nc-dump/ready'].map(
    (name) => `/var/lib/pe_failover/inbox${name}`,
  ),
};

/** What is signed anew each time, or only notes that something ran. */
const moving = /hello\.json|events\.jsonl/;
const still = (own: OwnSystem): Map<string, string> =>
  new Map([...own.written()].filter(([path]) => !moving.test(path)));

it('gives every file the owner and mode that it must have, and systemd its units', async (context) => {
  await using own = await machine(context);
  const { code, output } = own.command(...asSpare);
  expect(code, output).toBe(0);
  for (const [wanted, paths] of Object.entries(dress)) {
    for (const path of paths) expect(`${path} ${dressOf(own, path)}`).toBe(`${path} ${wanted}`);
  }
  expect(own.sh('getent passwd pe-transfer; getent shadow pe-transfer')).toMatch(
    /^pe-transfer:x:\d+:\d+:[^:]*:\/home\/pe-transfer:\/bin\/sh\npe-transfer:\*:/,
  );
  expect(own.read('/etc/systemd/system/pe-failover.service')).toContain(
    'ExecStart=/opt/pe_failover/bin/pe-failover agent\n',
  );
  const order = ['pe-failover-recover.service', 'pe-failover.service'];
  expect(own.systemctl()).toEqual([
    'daemon-reload',
    'daemon-reload',
    ...order.map((unit) => `enable ${unit}`),
    'start -- pe-failover.service',
  ]);
});

it('changes nothing when it is run again', async (context) => {
  await using own = await machine(context);
  own.command(...asSpare);
  own.systemctl();
  const before = still(own);
  const { code, output } = own.command(...asSpare);
  expect(code, output).toBe(0);
  expect(output).toContain('Nothing to change');
  expect(still(own)).toEqual(before);
  expect(own.systemctl()).toEqual([]);
});

it('lists every change beforehand, and makes none', async (context) => {
  await using own = await machine(context);
  const before = own.written();
  const listed = own
    .command(...asSpare, '--dry-run')
    .output.split('\n')
    .filter((one) => one.startsWith('would '));
  expect(own.written()).toEqual(before);
  expect(own.systemctl()).toEqual([]);
  const made = own.command(...asSpare).output.split('\n');
  expect(listed.length).toBeGreaterThan(30);
  expect(listed.filter((one) => !made.includes(one.slice('would '.length)))).toEqual([]);
  expect(made.slice(1, -2)).toEqual(listed.map((one) => one.slice('would '.length)));
});

it('mends an account that cannot take drops in, and says so', async (context) => {
  await using own = await machine(context);
  own.sh(
    'groupadd other; useradd --gid other --home-dir /srv --shell /usr/sbin/nologin --expiredate 2020-01-01 pe-transfer',
  );
  const { code, output } = own.command(...asSpare);
  expect(code, output).toBe(0);
  const words = [
    'make the group',
    'the group of',
    'the shell /bin/sh',
    'the home /home/pe-transfer',
    'the password "*"',
    'never expire',
  ];
  expect(words.filter((word) => !output.includes(word))).toEqual([]);
  expect(own.sh('getent shadow pe-transfer').split(':').slice(1, 2)).toEqual(['*']);
  expect(own.sh('id -gn pe-transfer').trim()).toBe('pe-transfer');
  own.sh('chown -R pe-transfer /home/pe-transfer; usermod --lock pe-transfer');
  expect(own.command(...asSpare).output).toContain('the password "*"');
  expect(dressOf(own, '/home/pe-transfer/.ssh/authorized_keys')).toBe('root:pe-transfer 640');
  expect(own.command(...asSpare).output).toContain('Nothing to change');
});

it('refuses root as the transfer user', async (context) => {
  await using own = await machine(context);
  own.write('/etc/puppetlabs/pe_failover/pe_failover.yaml', 'transfer: {user: root}\n', 0o600);
  const { code, output } = own.command(...asSpare);
  expect({ code, output }).toMatchObject({ code: 78, output: expect.stringContaining('transfer.user') as string });
});

it('is refused to anybody but root, who is told to use sudo', async (context) => {
  await using own = await machine(context);
  const { code, output } = own.run('setpriv', '--reuid=nobody', '--clear-groups', 'pe-failover', ...asSpare);
  expect({ code, output }).toMatchObject({ code: 64, output: expect.stringContaining('sudo') as string });
});

it('leaves the agent alone with --no-start, and starts it without', async (context) => {
  await using own = await machine(context);
  own.command(...asSpare, '--no-start');
  expect(own.systemctl()).toEqual(['daemon-reload', 'daemon-reload']);
  expect(own.command(...asSpare).output).toContain('start pe-failover.service');
  expect(own.systemctl()).toContain('start -- pe-failover.service');
});

it('has a web process that is asked for, as a user who reads nothing of ours but what it is told, until it is not', async (context) => {
  await using own = await machine(context);
  const config = own.read('/etc/puppetlabs/pe_failover/pe_failover.yaml');
  const ask = (listen: string): string[] => {
    own.write('/etc/puppetlabs/pe_failover/pe_failover.yaml', `${config}web: {health_listen: "${listen}"}\n`, 0o600);
    own.systemctl();
    expect(own.command(...asSpare).code).toBe(0);
    return own.systemctl().filter((call) => call.includes('web'));
  };
  const unit = 'pe-failover-web.service';
  expect(ask('off')).toEqual([]);
  expect(ask('127.0.0.1:8187')).toEqual([`enable ${unit}`, `start -- ${unit}`]);
  expect(own.read(`/etc/systemd/system/${unit}`)).toContain(' --health-listen 127.0.0.1:8187 ');
  expect(ask('[::1]:8188')).toEqual([`stop -- ${unit}`, `start -- ${unit}`]);
  const as = (line: string): number | null =>
    own.run('setpriv', '--reuid=pe-failover', '--regid=pe-failover', '--clear-groups', 'sh', '-c', line).code;
  expect(as('ls /run/pe_failover/web')).toBe(0);
  for (const path of ['/run/pe_failover', '/var/lib/pe_failover', '/etc/puppetlabs/pe_failover', '/root'])
    expect(as(`ls ${path}`), path).not.toBe(0);
  expect(as('touch /run/pe_failover/web/serving.json')).not.toBe(0);
  expect(ask('off')).toEqual([`disable ${unit}`, `stop -- ${unit}`]);
  expect(ask('off')).toEqual([]);
});

it('starts an agent that runs by an older text anew', async (context) => {
  await using own = await machine(context);
  own.command(...asSpare);
  own.sh(
    'cd /run/stand-in-systemd/active; echo old | tee /etc/systemd/system/pe-failover.service >pe-failover.service',
  );
  own.systemctl();
  const { output } = own.command(...asSpare);
  expect(own.systemctl()).toEqual(['stop -- pe-failover.service', 'daemon-reload', 'start -- pe-failover.service']);
  expect(own.read('/run/stand-in-systemd/active/pe-failover.service')).toContain('agent');
  expect(output).toContain('stop pe-failover.service, to start it as its new text says');
});

it('says what to do where systemd does not run, and goes on', async (context) => {
  await using own = await machine(context, { systemd: false });
  const { code, output } = own.command(...asSpare);
  expect({ code, output }).toMatchObject({
    code: 0,
    output: expect.stringContaining('does not run systemd') as string,
  });
  expect(own.run('test', '-e', '/etc/systemd/system/pe-failover.service').code).toBe(1);
});

it('limits what the transfer user may take, by whatever number that has, and nobody of another number', async (context) => {
  await using own = await machine(context);
  own.command(...asSpare);
  const limitsOf = (uid: string): string => `/etc/systemd/system/user-${uid}.slice.d/50-pe-failover.conf`;
  const uid = own.sh('id -u pe-transfer').trim();
  expect(own.read(limitsOf(uid))).toMatch(/^\[Slice\]\n(?:\w+Weight=\d+\n)+MemoryMax=\w+\nTasksMax=\d+\n$/m);
  expect(dressOf(own, limitsOf(uid))).toBe('root:root 644');
  const other = String(Number(uid) - 100);
  own.write(`/etc/systemd/system/user-${uid}.slice.d/60-of-an-admin.conf`, '[Slice]\nTasksMax=20\n');
  own.sh(`usermod --uid ${other} pe-transfer`);
  own.systemctl();
  const { output } = own.command(...asSpare);
  expect(output).toContain('lift the limits of a number that the transfer user has no more');
  expect(own.systemctl()).toContain('daemon-reload');
  const namesFor = (number: string): string => own.sh(`ls /etc/systemd/system/user-${number}.slice.d`);
  expect([namesFor(uid), namesFor(other)]).toEqual(['60-of-an-admin.conf\n', '50-pe-failover.conf\n']);
  own.command('uninstall');
  expect(own.sh('find /etc/systemd/system -name 50-pe-failover.conf')).toBe('');
  expect(own.run('test', '-e', dirname(limitsOf(other))).code).toBe(1);
});

it('is finished by the next one wherever it is killed', async (context) => {
  await using whole = await machine(context);
  whole.command(...asSpare);
  await using own = await machine(context);
  const options = { active: false, passive: true, authKey: line, renewHostKey: false, dryRun: false, noStart: false };
  const made: string[] = [];
  for (;;) {
    const { code, output } = own.program('installer', { install: options });
    const last = output.trim().split('\n').at(-1) ?? '';
    if (code === 0) break;
    expect(output).not.toContain('pe-failover:');
    made.push(last);
    expect(made.length).toBeLessThan(60);
  }
  expect(made.length).toBeGreaterThan(30);
  expect(new Set(made).size).toBe(made.length);
  const shape = (machine: OwnSystem): string[] =>
    [...machine.written()].map(([path, what]) => `${path} ${what.split(' ').slice(0, 3).join(' ')}`).sort();
  expect(shape(own)).toEqual(shape(whole));
  expect(own.command(...asSpare).output).toContain('Nothing to change');
}, 180_000);
