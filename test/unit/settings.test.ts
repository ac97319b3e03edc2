import { expect, it } from 'vitest';
import { parseConfig } from '../../src/config.ts';
import { statusUrls } from '../../src/puppet/services.ts';
import { settingsOf } from '../../src/role-work.ts';

const settings = (text: string) =>
  settingsOf({ config: parseConfig(text, 'x.yaml', 'pe'), below: (path) => `/nowhere${path}` });
const keys = '/etc/puppetlabs/console-services/conf.d/secrets/keys.json';
const code = '/var/lib/pe_failover/deployed-code.json'; // what the active has deployed travels always

it('what a database cannot be read without is sent, though no admin listed it', () => {
  expect(settings('').sentFiles).toEqual([code, keys]);
  expect(settings(`files: [/etc/motd, ${keys}]`).sentFiles).toEqual(['/etc/motd', keys, code]);
  expect(settings('databases: []').sentFiles).toEqual([code]);
});

it('a database whose services act by themselves goes live at a promotion only, unless an admin says otherwise', () => {
  const of = (text: string) => settings(`databases: ${text}`).databases[0]?.switch;
  expect(of('[{name: pe-rbac}]')).toBe('schedule');
  expect(of('[{name: pe-orchestrator}]')).toBe('promotion');
  expect(of('[{name: pe-orchestrator, switch: schedule}]')).toBe('schedule');
});

it('further groups of the platform are no replacement for those that it has', () => {
  expect(settings('classifier: {infrastructure_groups: [Ours]}').furtherInfrastructure).toEqual(['Ours']);
});

it('each service is asked for its health where it answers', () => {
  const console = 'https://a.test:4433';
  expect(statusUrls('a.test', console, ['rbac-service', 'puppetdb-status', 'activity-service'])).toEqual([
    console,
    'https://a.test:8081',
  ]);
  expect(statusUrls('a.test', console, [])).toEqual([]);
});
