import { procedureExits, procedureOptions, procedureOptionsIn } from './procedure-options.ts';
import { flag, root, text, value, type Verb } from './verb.ts';

/** A spare comes, is made known to agents, and goes: all on the active. */
export const sparing: readonly Verb[] = [
  {
    command: 'provision <host>',
    describe: 'On the active: make a host its spare, over ssh',
    options: {
      ...procedureOptions,
      print: flag('Print what to type on both hosts, for a site with a bastion; log in nowhere'),
      sudo: flag('Become root there by sudo, which must not ask'),
      'ssh-config': value('In place of ~/.ssh/config'),
      'root-there': value('Everything there lies below this directory: for tests'),
      wait: { type: 'number', default: 60, describe: 'How many minutes to wait for the first copy' },
      force: flag('Also where it belongs to another pair'),
    },
    epilogue: procedureExits,
    run: async (given, signal) =>
      (await import('../commands/provision.ts')).provision(
        root(given),
        String(given['host']),
        {
          ...procedureOptionsIn(given, ['--force']),
          print: given['print'] === true,
          sudo: given['sudo'] === true,
          sshConfig: text(given['ssh-config']),
          rootThere: text(given['root-there']) ?? '/',
          waitMs: Number(given['wait']) * 60_000,
        },
        signal,
      ),
  },
  {
    command: 'enable <host>',
    describe: 'On the active: tell agents to go to the spare when this master does not answer',
    options: {
      ...procedureOptions,
      topology: value('mono, or mono-with-compile: agents go to compilers, and are left alone'),
      'skip-agent-config': flag("Change the infrastructure's own nodes alone, no other agents"),
      force: flag('Also while the spare does not answer'),
    },
    epilogue: procedureExits,
    run: async (given, signal) =>
      (await import('../commands/enable.ts')).enable(
        root(given),
        String(given['host']),
        {
          ...procedureOptionsIn(given, ['--force']),
          topology: text(given['topology']),
          skipAgentConfig: given['skip-agent-config'] === true,
        },
        signal,
      ),
  },
  {
    command: 'disable <host>',
    describe: 'On the active: take back what enable told agents',
    options: procedureOptions,
    epilogue: procedureExits,
    run: async (given, signal) =>
      (await import('../commands/enable.ts')).disable(
        root(given),
        String(given['host']),
        procedureOptionsIn(given),
        signal,
      ),
  },
  {
    command: 'forget <host>',
    describe: 'On the active: take out everything of a spare that is gone for good',
    options: {
      ...procedureOptions,
      'clean-certificate': flag('Revoke and remove its certificate, too'),
      force: flag('Also while it is alive and well'),
    },
    epilogue: procedureExits,
    run: async (given, signal) =>
      (await import('../commands/forget.ts')).forget(
        root(given),
        String(given['host']),
        given['clean-certificate'] === true,
        procedureOptionsIn(given, ['--force']),
        signal,
      ),
  },
];
