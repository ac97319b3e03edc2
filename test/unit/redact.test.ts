import { describe, expect, it } from 'vitest';
import { hidden, redact, redactConfig, secretLines, secretsIn } from '../../src/rules/redact.ts';

describe('redacted text', () => {
  it.each([
    ['password=hunter2xx', `password=${hidden}`],
    ['{"password": "hunter2xx", "port": 5432}', `{"password": "${hidden}", "port": 5432}`],
    ['{"body":"{\\"token\\":\\"hunter2xx\\"}"}', `{"body":"{\\"token\\":\\"${hidden}\\"}"}`],
    ['X-Authentication: 0T6aFZk', `X-Authentication: ${hidden}`],
    ['curl -H "Authorization: Bearer abcdefghij"', `curl -H "Authorization: ${hidden}"`],
    ['https://alice:hunter2@masterb/x', `https://${hidden}@masterb/x`],
    [
      'ERROR:  invalid input syntax for type integer: "row of alice"',
      'ERROR:  invalid input syntax for type integer: (a value of a row)',
    ],
    [
      '{"why":"ERROR: invalid input syntax for type integer: \\"row of alice\\"","job":"db-dump"}',
      '{"why":"ERROR: invalid input syntax for type integer: (a value of a row)","job":"db-dump"}',
    ],
    [
      '{"body":"{\\"why\\":\\"ERROR: invalid input syntax: \\\\\\"row of alice\\\\\\"\\"}"}',
      '{"body":"{\\"why\\":\\"ERROR: invalid input syntax: (a value of a row)\\"}"}',
    ],
    ['DETAIL:  Key (login)=(alice) already exists.', `DETAIL:  ${hidden}`],
    ['Key (login)=(alice) already exists', `Key (login)=${hidden} already exists`],
    ['Failing row contains (1, alice).', `Failing row contains ${hidden}.`],
    ['eyaml: ENC[PKCS7,MIIBiQYJKoZI]', `eyaml: ${hidden}`],
  ])('hides what is secret in %s', (text, expected) => {
    expect(redact(text, [])).toBe(expected);
  });

  it('has no private key, whole or torn, and no long random text', () => {
    const key = '-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----';
    expect(redact(`a\n${key}\nb\n-----BEGIN RSA PRIVATE KEY-----\nMC4CAQ`, [])).toBe(`a\n${hidden}\nb\n${hidden}`);
    expect(redact('AAAAC3NzaC1lZDI1NTE5AAAAIJ0aB3cD4eF5gH6iJ7kL8mN9oP0qR1sT2uV3wX4yZ', [])).toBe(hidden);
  });

  it.each([
    `sha256:${'0123456789abcdef'.repeat(4)}`,
    '/opt/puppetlabs/server/data/puppetserver/some_long_directory-name/and_another_one_with_digits_1234567890/x',
    '/tmp/Root-2MDD/etc/puppetlabs/pe_failover/keys/some_directory/20261126T120000Z/and_more/of_it',
    'restore-dbs runs for 3 min (cron), token_file: /etc/puppetlabs/token',
    'PE_FAILOVER: restore_nc.sh ---> [SUCCESS] Import of node groups completed',
  ])('leaves %s', (text) => {
    expect(redact(text, [])).toBe(text);
  });

  it('has no secret that is known, wherever it stands, and no short one, which would be every word', () => {
    expect(redact('x hunter2-hunter2 y', ['hunter2-hunter2', 'x'])).toBe(`x ${hidden} y`);
    expect(secretLines('{"key": "0123456789abcdef"}\n}\n')).toEqual([
      '{"key": "0123456789abcdef"}',
      '0123456789abcdef',
    ]);
  });
});

describe('a configuration that is shown', () => {
  const config = {
    deadman: { url: 'https://hc.example.com/ping/5f1e2d3c-uuid?x=1' },
    witness: { command: ['/usr/bin/ask', '--password', 'hunter2xx', 'https://chat/hook/secret-of-chat'] },
    services: {
      manager: 'commands',
      commands: {
        'pe-x': { status: ['/bin/x', 'argument1'] },
      },
    },
    classifier: { url: 'https://user:pw@masterb:4433/classifier-api' },
    certname: 'masterb.lab',
  };

  it('has neither arguments of commands nor paths of addresses', () => {
    expect(redactConfig(config)).toEqual({
      deadman: { url: 'https://hc.example.com' },
      witness: { command: ['/usr/bin/ask', hidden, hidden, hidden] },
      services: {
        manager: 'commands',
        commands: { 'pe-x': { status: ['/bin/x', hidden] } },
      },
      classifier: { url: 'https://masterb:4433' },
      certname: 'masterb.lab',
    });
  });

  it('tells what is to be taken out elsewhere', () => {
    expect(secretsIn(config)).toEqual(
      expect.arrayContaining(['hunter2xx', 'https://chat/hook/secret-of-chat', 'secret-of-chat', '5f1e2d3c-uuid']),
    );
  });
});
