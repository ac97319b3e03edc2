import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { withoutFacts } from '../../src/rules/fact-text.ts';
import { agentUnit, ownUnits, postgresqlUnits, recoverUnit, unitText, webUnit } from '../../src/rules/own-units.ts';
import { isReadOnlyIn, sandboxNotMade } from '../../src/rules/sandbox.ts';
import { accountFaults, isOurAccount, type UserAccount } from '../../src/rules/transfer-account.ts';

const template = (unit: string): string => readFileSync(join(import.meta.dirname, '../../templates', unit), 'utf8');
const words = {
  program: '/opt/pe_failover',
  journal: '/var/lib/pe_failover/journal',
  postgresql: postgresqlUnits('pe'),
  services: ['pe-console-services', 'pe-console-services', 'other.target', 'no unit at all'],
  sandbox: template('sandbox.conf'),
  files: ['/etc/secret', '/usr/local/etc/a/key', '/usr/local/etc/a/other/', '/usr/a b/key', '/usr', '/boot/x'],
  web: ['--health-listen', '[::]:8187', '--ca', '/etc/ssl/ca.pem'],
  webUser: 'pe-failover',
};

describe('units', () => {
  it('have every word in its place', () => {
    for (const unit of ownUnits) expect(unitText(template(unit), words)).not.toMatch(/[{}]/);
    expect(unitText(template(agentUnit), words)).toContain(
      'ExecStartPre=/opt/pe_failover/bin/pe-failover check --quick\n',
    );
    const web = unitText(template(webUnit), words);
    expect(web).toContain(
      '\nExecStart=/opt/pe_failover/bin/pe-failover web --health-listen [::]:8187 --ca /etc/ssl/ca.pem\n',
    );
    expect(web).toContain('\nUser=pe-failover\n');
  });

  it('order the recovery behind PostgreSQL and before what a switch may stop', () => {
    const text = unitText(template(recoverUnit), words);
    expect(text).toContain('\nAfter=pe-postgresql.service\n');
    expect(text).toContain('\nBefore=pe-failover.service pe-console-services.service other.target\n');
    expect(unitText(template(recoverUnit), { ...words, services: [] })).toContain('\nBefore=pe-failover.service\n');
  });

  it('let files of the list be written that lie where the sandbox lets nobody write: beside themselves, and no further', () => {
    for (const unit of [agentUnit, recoverUnit])
      expect(unitText(template(unit), words)).toContain('\nReadWritePaths=-/usr/local/etc/a -/boot\n');
    expect(unitText(template(agentUnit), { ...words, files: [] })).toContain('\nReadWritePaths=\n');
  });

  it('refuse a path that systemd would read otherwise', () => {
    for (const program of ['/opt/with blank', '/opt/100%', '/opt/"x"'])
      expect(() => unitText(template(agentUnit), { ...words, program })).toThrow('cannot stand in a unit');
    for (const word of ['a b', '%h', '$HOME', '"x"'])
      expect(() => unitText(template(webUnit), { ...words, web: [word] })).toThrow('cannot stand in a unit');
  });
});

describe('a start that came to nothing', () => {
  const shown = (status: number): string =>
    `ExecStartPre={ path=/a ; argv[]=/a check ; pid=7 ; code=exited ; status=${status} }\nExecStart={ path=/a ; code=(null) ; status=0/0 }`;

  it('is told from one for which systemd could not make the sandbox', () => {
    expect([226, 228, 218].map((status) => sandboxNotMade(shown(status)))).toEqual([
      'status 226/NAMESPACE',
      'status 228/SECCOMP',
      'status 218/CAPABILITIES',
    ]);
    expect([0, 1, 78, 203].map((status) => sandboxNotMade(shown(status)))).toEqual(Array(4).fill(undefined));
  });
});

describe('the transfer user', () => {
  const wanted = { home: '/home/pe-transfer', gid: 900 };
  const good: UserAccount = {
    name: 'pe-transfer',
    uid: 900,
    gid: 900,
    comment: '',
    home: '/home/pe-transfer',
    shell: '/bin/sh',
    password: '*',
    expires: '',
  };

  it('is good as install makes it', () => expect(accountFaults(good, wanted)).toEqual([]));

  for (const [fault, change] of [
    ['shell', { shell: '/usr/sbin/nologin' }],
    ['home', { home: '/' }],
    ['password', { password: '!' }],
    ['password', { password: '!*' }],
    ['password', { password: undefined }],
    ['expiry', { expires: '1' }],
    ['group', { gid: 100 }],
  ] as const)
    it(`is mended where ${JSON.stringify(change)}`, () =>
      expect(accountFaults({ ...good, ...change }, wanted)).toEqual([fault]));

  it('is ours by its name or by what we wrote on it, and never root', () => {
    const ours = 'takes drops in for pe-failover';
    const asked = (change: Partial<UserAccount>): boolean => isOurAccount({ ...good, ...change }, wanted.home);
    expect([asked({}), asked({ name: 'carrier', comment: ours })]).toEqual([true, true]);
    expect([asked({ name: 'carrier' }), asked({ uid: 0 }), asked({ home: '/srv' })]).toEqual([false, false, false]);
  });
});

describe('the fact without our facts', () => {
  it('is nothing where nothing of anybody is left', () => {
    expect(withoutFacts('---\n# ours\npe_failover_mode: active\npe_failover_key: "x"\n')).toBeUndefined();
  });

  it('keeps what is not ours', () => {
    expect(withoutFacts('---\npe_failover_mode: active\nrack: 12\n')).toBe('---\nrack: 12\n');
  });
});

describe('whether a file system is read-only', () => {
  const line = (place: string, own: string, whole: string): string =>
    `36 35 98:0 / ${place} ${own},noatime master:1 - ext4 /dev/vdb ${whole},errors=continue\n`;
  it.each([
    ['mounted so', line('/data', 'ro', 'rw'), true],
    ['as a whole', line('/data', 'rw', 'ro'), true],
    ['by what lies above another', line('/data', 'rw', 'rw') + line('/data', 'ro', 'rw'), true],
    ['in neither way', line('/data', 'ro', 'rw') + line('/data', 'rw', 'rw'), false],
    ['elsewhere alone', line('/', 'ro', 'ro'), undefined],
    ['in a table that cannot be read', undefined, undefined],
  ])('%s is told by the table of mounts', (_, table, is) => expect(isReadOnlyIn(table, '/data')).toBe(is));

  it('is told of a place with a blank in its name', () =>
    expect(isReadOnlyIn(line('/my\\040data', 'ro', 'rw'), '/my data')).toBe(true));
});
