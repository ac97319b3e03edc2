import { expect, it } from 'vitest';
import { machine, pairingLineOf, type OwnSystem } from '../helpers/own-system.ts';

const line = await pairingLineOf('mastera.test');

/** Lines of `check` that name one of these. */
function problems(own: OwnSystem, name: string): string[] {
  const said = own.command('check').output.split('\n');
  return said.filter((one) => one.startsWith(`PROBLEM  ${name}: `));
}

it('looks at what install made: user, sshd and units, and is content', async (context) => {
  await using own = await machine(context);
  own.command('install', '--passive', '--auth-key', line);
  const { output } = own.command('check');
  for (const name of ['transfer user', 'sshd', 'units']) expect(output).toContain(`ok       ${name}: `);
});

it('names each thing in sshd that keeps the active out, with what to write', async (context) => {
  await using own = await machine(context);
  own.command('install', '--passive', '--auth-key', line);
  own.write(
    '/etc/ssh/sshd_config',
    'AllowUsers admin\nMaxSessions 1\nMatch User pe-transfer\nForceCommand /bin/true\n',
  );
  const said = problems(own, 'sshd');
  expect(said.map((one) => /sshd: (\w+)/.exec(one)?.[1])).toEqual(['AllowUsers', 'ForceCommand', 'MaxSessions']);
  expect(said[0]).toContain('Add pe-transfer to AllowUsers');
  expect(said[1]).toContain('Match User pe-transfer');
});

it('says that there is no sshd', async (context) => {
  await using own = await machine(context);
  own.command('install', '--passive', '--auth-key', line);
  own.sh('mv "$(command -v sshd)" /tmp');
  expect(problems(own, 'sshd')).toEqual([expect.stringContaining('openssh-server')]);
});

it('says what is wrong with a unit, and with the account', async (context) => {
  await using own = await machine(context);
  own.command('install', '--passive', '--auth-key', line);
  own.sh('usermod --lock pe-transfer; systemctl disable pe-failover.service; systemctl stop pe-failover.service');
  own.sh('rm /etc/systemd/system/pe-failover-recover.service');
  expect(problems(own, 'transfer user')).toEqual([expect.stringContaining("usermod --password '*' pe-transfer")]);
  const [recover, boot, runs] = problems(own, 'units');
  expect(recover).toContain('pe-failover-recover.service is not there');
  expect(boot).toContain('systemctl enable pe-failover.service');
  expect(runs).toContain('systemctl start pe-failover.service');
});

it('says that systemd cannot make the sandbox of the agent, also while it tries again and again', async (context) => {
  await using own = await machine(context);
  own.command('install', '--passive', '--auth-key', line);
  own.write('/run/stand-in-systemd/last-start', 'ExecStartPre={ path=/x ; code=exited ; status=226 }\n');
  const wanted = [expect.stringMatching(/cannot make the sandbox.*226\/NAMESPACE.*docs\/security\.md/)];
  expect(problems(own, 'units')).toEqual(wanted);
  own.sh('systemctl stop pe-failover.service');
  expect(problems(own, 'units')).toEqual(wanted);
});

it('says what to write where puppet is missing', async (context) => {
  await using own = await machine(context);
  own.command('install', '--passive', '--auth-key', line);
  own.sh('rm /usr/local/bin/puppet');
  expect(problems(own, 'CA')).toEqual([expect.stringContaining('Set paths.puppet in the configuration')]);
  const asked = own.run('timeout', '10', 'pe-failover', 'run', 'restore-nc');
  expect(asked).toMatchObject({ code: 78, output: expect.stringContaining('puppet could not be asked for') as string });
});
