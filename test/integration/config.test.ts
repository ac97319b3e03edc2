import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig, parseConfig } from '../../src/config.ts';
import { Failure } from '../../src/errors.ts';
import { detectPlatform } from '../../src/rules/defaults.ts';

const home = join(import.meta.dirname, '..', '..');
const invalid = join(home, 'test/fixtures/config/invalid');
const invalidFiles = (await readdir(invalid)).sort();

function messageOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof Failure && error.class === 'config') return error.message;
    throw error;
  }
  return 'accepted';
}

describe('the sample configuration', () => {
  it('parses as it is shipped, and changes nothing', async () => {
    const sample = await readFile(join(home, 'templates/pe_failover.yaml'), 'utf8');
    expect(parseConfig(sample, 'sample', 'debian')).toEqual(parseConfig('', 'none', 'debian'));
  });

  it('shows the defaults of Puppet Enterprise, all of them', async () => {
    const sample = await readFile(join(home, 'templates/pe_failover.yaml'), 'utf8');
    const uncommented = sample.replace(/^#(?! \S|$)/gm, '');
    const config = parseConfig(uncommented, 'sample', undefined);
    expect(config).toEqual(parseConfig('', 'none', 'pe'));
    for (const section of Object.keys(config)) expect(uncommented).toMatch(new RegExp(`^${section}:`, 'm'));
    for (const job of Object.keys(config.jobs)) expect(uncommented).toMatch(new RegExp(`^  ${job}:`, 'm'));
  });

  it('names every key that there is', async () => {
    const sample = await readFile(join(home, 'templates/pe_failover.yaml'), 'utf8');
    const mistakes = ['x: 1', 'paths: {x: 1}', 'ssh: {x: 1}', 'classifier: {x: 1}', 'databases: [{name: a, x: 1}]'];
    for (const mistake of mistakes) {
      const message = messageOf(() => parseConfig(mistake, 'f', 'pe'));
      const known = (message.split('expected one of ')[1] ?? '').split(', ');
      expect(known.length).toBeGreaterThan(1);
      for (const key of known) expect(sample, key).toMatch(new RegExp(`\\b${key}\\b`));
    }
  });
});

describe('a wrong configuration', () => {
  it.each(invalidFiles)('invalid/%s fails with its sentence', async (file) => {
    const text = await readFile(join(invalid, file), 'utf8');
    const sentence = /^# expect: (.*)$/m.exec(text)?.[1] ?? 'no sentence given';
    const message = messageOf(() => parseConfig(text, '/etc/pe_failover.yaml', 'pe'));
    expect(message).toContain('configuration refused (/etc/pe_failover.yaml): ');
    expect(message).toContain(sentence);
    expect(message).not.toContain('secret-of-mine');
  });

  it('is refused once, with all its mistakes', () => {
    const message = messageOf(() => parseConfig('ssh: {port: x}\nfoo: 1\nplatform: y', 'f', undefined));
    for (const part of ['ssh.port: is "x"', 'foo: unknown key', 'platform: is "y"']) expect(message).toContain(part);
  });

  it('is refused without what may be a secret', () => {
    const mistakes = [
      'classifier: {auth: token, token_file: marker}',
      'classifier: {url: "http://user:marker@host"}',
      'witness: {command: "prog --password marker"}',
      'services: {commands: {a: {status: [a], start: "prog marker", stop: [a]}}}',
    ];
    for (const mistake of mistakes) expect(messageOf(() => parseConfig(mistake, 'f', 'pe'))).not.toContain('marker');
    expect(messageOf(() => parseConfig(mistakes[0] ?? '', 'f', 'pe'))).toContain('token_file: is not shown');
  });

  it('that cannot be read is one Failure, too', async () => {
    await expect(loadConfig('/', 'pe')).rejects.toMatchObject({ class: 'config', where: '/' });
  });
});

describe('the configuration', () => {
  it('is the defaults where there is no file, in milliseconds and bytes', async () => {
    const config = await loadConfig('/nonexistent/pe_failover.yaml', 'pe');
    expect(config.jobs.db_dump).toMatchObject({ poll: 15_000, cron: '10 * * * *', timeout: 7_200_000 });
    expect(config.retention.max_size).toBe(20_000_000_000);
  });

  it('cannot be changed by anybody, at any depth', () => {
    const config = parseConfig('databases: [{name: a}]', 'f', 'pe');
    const open = [config, config.jobs.sync_certs, config.databases, config.databases[0]].filter(
      (v) => !Object.isFrozen(v),
    );
    expect(open).toEqual([]);
  });

  it('keeps the defaults beside what is set, and behind an emptied key', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'config-test-'));
    const file = join(directory, 'pe_failover.yaml');
    await writeFile(file, 'ssh:\njobs:\n  sync_certs:\n    every: 1h\nfiles: [/etc/a]\n');
    await chmod(file, 0o600);
    const config = await loadConfig(file, 'pe');
    expect(config.jobs.sync_certs).toEqual({ enabled: true, every: 3_600_000, timeout: 600_000 });
    expect([config.ssh.port, config.files, config.databases.length]).toEqual([22, ['/etc/a'], 1]);
    await rm(directory, { recursive: true });
  });

  it('takes the platform from the file before the one that was found, and refuses to guess', () => {
    expect(parseConfig('platform: debian', 'f', 'pe').jobs.nc_dump.enabled).toBe(false);
    expect(messageOf(() => parseConfig('', 'f', undefined))).toContain('platform: is not set');
    const found = (...paths: string[]) => detectPlatform((path) => paths.includes(path));
    expect([
      found('/opt/puppetlabs/server/pe_build', '/etc/puppetlabs/puppet'),
      found('/etc/puppetlabs/puppet'),
    ]).toEqual(['pe', 'puppet']);
    expect([found('/etc/puppet'), found()]).toEqual(['debian', undefined]);
  });
});
