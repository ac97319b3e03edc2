import { describe, expect, it } from 'vitest';
import { hasSessions, parseSshdSettings, sshdProblems, type LoginOfDrops } from '../../src/rules/sshd-settings.ts';

const login: LoginOfDrops = {
  user: 'pe-transfer',
  groups: ['pe-transfer'],
  home: '/home/pe-transfer',
  authorizedKeys: '/home/pe-transfer/.ssh/authorized_keys',
  keyTypes: ['ssh-ed25519'],
};

const usual = [
  'pubkeyauthentication yes',
  'maxsessions 10',
  'forcecommand none',
  'chrootdirectory none',
  'authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2',
  'authenticationmethods any',
  'pubkeyacceptedalgorithms ssh-ed25519-cert-v01@openssh.com,ssh-ed25519,rsa-sha2-512',
];

/** The problems of a usual sshd in which these lines say something else. */
function problemsOf(...changed: string[]): string[] {
  const names = changed.map((line) => line.split(' ')[0]);
  const kept = usual.filter((line) => !names.includes(line.split(' ')[0]));
  return sshdProblems(parseSshdSettings([...kept, ...changed].join('\n')), login).map(({ what }) => what);
}

describe('a login with a forced command works', () => {
  for (const lines of [
    [],
    ['allowusers admin', 'allowusers pe-*'],
    ['allowusers root admin pe-transfer@10.0.0.*'],
    ['allowgroups sudo pe-transfer'],
    ['denyusers guest pe-transfer@192.0.2.1'],
    ['authorizedkeysfile %h/.ssh/authorized_keys'],
    ['authorizedkeysfile /etc/ssh/keys /home/%u/.ssh/authorized_keys'],
    ['authenticationmethods password publickey'],
    ['maxsessions 4'],
    ['pubkeyacceptedalgorithms *'],
  ])
    it(lines.join(', ') || 'with the defaults', () => expect(problemsOf(...lines)).toEqual([]));
});

describe('what keeps it out is named', () => {
  for (const [line, what] of [
    ['allowusers admin root@*', 'AllowUsers does not name pe-transfer'],
    ['allowusers !pe-transfer *', 'AllowUsers does not name pe-transfer'],
    ['denyusers pe-*', 'DenyUsers names pe-transfer'],
    ['allowgroups sudo', 'AllowGroups names no group of pe-transfer'],
    ['denygroups pe-transfer', 'DenyGroups names a group of pe-transfer'],
    ['pubkeyauthentication no', 'PubkeyAuthentication is no'],
    ['authorizedkeysfile /etc/ssh/keys/%u', 'AuthorizedKeysFile is /etc/ssh/keys/pe-transfer, and not'],
    ['authorizedkeysfile none', 'AuthorizedKeysFile is none'],
    ['authenticationmethods publickey,password', 'a key alone is not enough'],
    ['forcecommand internal-sftp', 'ForceCommand is internal-sftp'],
    ['chrootdirectory /srv', 'ChrootDirectory is /srv'],
    ['maxsessions 1', 'MaxSessions is 1'],
    ['refuseconnection yes', 'RefuseConnection is yes'],
    ['pubkeyacceptedalgorithms rsa-sha2-512', 'PubkeyAcceptedAlgorithms lacks ssh-ed25519'],
  ] as const)
    it(line, () => {
      const problems = problemsOf(line);
      expect(problems).toHaveLength(1);
      expect(problems[0]).toContain(what);
    });
});

describe('the limits of the transfer user', () => {
  it('reach its logins where sshd uses PAM, and nowhere else', () => {
    const asked = ['usepam yes', 'usepam no', ''].map((line) => hasSessions(parseSshdSettings(line)));
    expect(asked).toEqual([true, false, false]);
  });
});
