/** A user as /etc/passwd and /etc/shadow have it. */
export interface UserAccount {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly comment: string;
  readonly home: string;
  readonly shell: string;
  /** As it is kept: a hash, `*` for none, or one behind a `!`, which locks the account. Undefined: no entry. */
  readonly password: string | undefined;
  /** Day on which it ends; empty: never. */
  readonly expires: string;
}

export interface WantedAccount {
  readonly home: string;
  /** Of the group that has the user's name. */
  readonly gid: number | undefined;
}

/** Says who made it. */
export const accountComment = 'takes drops in for pe-failover';
export const accountShell = '/bin/sh';
/** No password fits, and the account is not locked: sshd without PAM refuses a locked one. */
export const accountPassword = '*';

export const repairKinds = ['group', 'shell', 'home', 'password', 'expiry'] as const;
export type RepairKind = (typeof repairKinds)[number];

/** What keeps an account that is there from taking drops in. Forced commands run through its shell. */
export function accountFaults(account: UserAccount, wanted: WantedAccount): RepairKind[] {
  const isFaulty: Readonly<Record<RepairKind, boolean>> = {
    group: account.gid !== wanted.gid,
    shell: account.shell !== accountShell,
    home: account.home !== wanted.home,
    password: account.password !== accountPassword,
    expiry: account.expires !== '',
  };
  return repairKinds.filter((kind) => isFaulty[kind]);
}

export interface Repair {
  readonly what: string;
  /** Of usermod. */
  readonly options: readonly string[];
}

export function repairOf(kind: RepairKind, name: string, home: string): Repair {
  switch (kind) {
    case 'group':
      return { what: `make ${name} the group of the user ${name}`, options: ['--gid', name] };
    case 'shell':
      return {
        what: `give the user ${name} the shell ${accountShell}, through which its one command runs`,
        options: ['--shell', accountShell],
      };
    case 'home':
      return { what: `give the user ${name} the home ${home}`, options: ['--home', home] };
    case 'password':
      return {
        what: `give the user ${name} the password "*": none fits, and sshd does not take it for locked`,
        options: ['--password', accountPassword],
      };
    case 'expiry':
      return { what: `let the user ${name} never expire`, options: ['--expiredate', ''] };
  }
}

/** An account that an admin had before, and named in the configuration, is not ours to remove. */
export const isOurAccount = (account: UserAccount, home: string): boolean =>
  account.uid !== 0 && account.home === home && (account.comment === accountComment || account.name === 'pe-transfer');
