import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { watchSteps } from './death.ts';
import { eventually } from './eventually.ts';
import { startLightPair, untilCaEqual, type LightPair } from './light-pair.ts';
import { caFingerprint, factPath, keyFile, secrets, untilAgreed, type LabMaster } from './pair.ts';
import { consoleUnit, psql, rbac, write } from './provision.ts';
import { activeOver, asAtFirst, is, passive } from './turning.ts';

const inHome = '/home/deploy/.keys';
const belowUsr = '/usr/local/etc/site-key';
const configuration = `---
jobs:
  nc_dump: {enabled: false}
  restore_nc: {enabled: false}
  db_dump: {poll: 2s}
  restore_dbs: {cron: "*/4 * * * * *", agent_run_wait: 1m, health_wait: 1m}
databases:
  - {name: ${rbac}, services: [${consoleUnit}], health: [rbac-service], needs: [${keyFile}]}
files: [${secrets}, ${inHome}, ${belowUsr}]
witness: {command: [runuser, -u, nobody, --, test, -r, /etc/passwd]}
retention: {free_space: 10MB}
`;

let pair: LightPair;
beforeAll(async () => {
  pair = await startLightPair('sandbox', { configuration, withConsole: true });
}, 300_000);
beforeEach(() => {
  pair.a.syslog.forget();
  pair.b.syslog.forget();
});
afterAll(() => pair[Symbol.asyncDispose]());

const units = ['pe-failover.service', 'pe-failover-recover.service'];
const property = async (host: LabMaster, unit: string, name: string): Promise<string> =>
  (await host.sh(`systemctl show -p ${name} --value ${unit}`)).trim();
const textOf = (host: LabMaster, path: string): string | false =>
  existsSync(host.path(path)) && readFileSync(host.path(path), 'utf8');

describe('the sandbox', () => {
  it.each(units)('of %s leaves an exposure of no more than 4.5 of 10, and systemd knows all of it', async (unit) => {
    const { exitCode, stdout } = await pair.b.try(`systemd-analyze security --no-pager --threshold=45 ${unit}`);
    expect(exitCode, stdout).toBe(0);
    const said = await pair.b.sh(`systemd-analyze verify /etc/systemd/system/${unit} 2>&1`);
    expect(said).not.toContain('pe-failover');
  });

  it('is around the running agent: no further rights, and nothing written where programs lie but what is listed', async () => {
    const { b } = pair;
    const pid = await property(b, 'pe-failover.service', 'MainPID');
    const status = await b.sh(`cat /proc/${pid}/status`);
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    expect(status).toMatch(/^Seccomp:\t2$/m);
    const inside = (line: string) => b.try(`nsenter --mount --target ${pid} sh -c '${line}'`);
    expect((await inside('touch /usr/bin/x')).stderr).toContain('Read-only');
    expect((await inside('touch /usr/local/etc/x /home/x /opt/x && rm /usr/local/etc/x /home/x /opt/x')).exitCode).toBe(
      0,
    );
  });

  it('lets a certificate and a revocation go live', async () => {
    const { ca } = pair;
    await ca.sign('sandboxed.lab');
    await ca.sign('revoked.lab');
    await ca.revoke('revoked.lab');
    await untilCaEqual(pair);
  });

  it('lets files be placed in a home, and where it forbids it if they are listed, with owner and mode', async () => {
    const { a, b } = pair;
    for (const host of [a, b]) await host.sh('id deploy 2>/dev/null || useradd --create-home deploy');
    await write(a, `${inHome}/key`, 'of a person\n', 0o600);
    await a.sh(`chown -R deploy:deploy ${inHome} && chmod 700 ${inHome}`);
    await write(a, belowUsr, 'of a program\n', 0o640);
    await eventually('in the home', () => textOf(b, `${inHome}/key`) === 'of a person\n');
    await eventually('below /usr', () => textOf(b, belowUsr) === 'of a program\n');
    expect(await b.sh(`stat -c '%U %a' ${inHome} ${inHome}/key ${belowUsr}`)).toBe('deploy 700\ndeploy 600\nroot 640');
  });

  it('lets a database be dumped, loaded and exchanged, with a stop and start of its service, while no puppet run may begin', async () => {
    const { a, b } = pair;
    const lock = await b.sh('puppet config print agent_disabled_lockfile');
    const before = await property(b, consoleUnit, 'ActiveEnterTimestampMonotonic');
    const disabled = new Set<boolean>();
    const watching = watchSteps(b, ({ step }) => {
      if (step === 'swap') disabled.add(existsSync(b.path(lock)));
    });
    const roles = (host: LabMaster): Promise<string> => psql(host, rbac, 'SELECT display_name FROM roles ORDER BY id');
    try {
      await psql(a, rbac, "INSERT INTO roles (display_name) VALUES ('made within a sandbox')");
      await eventually('live', async () => (await roles(a)) === (await roles(b)), { withinMs: 120_000, everyMs: 300 });
      await b.syslog.says(/restore_dbs\.sh ---> \[SUCCESS\] Completed restore of database pe-rbac/, 60_000);
    } finally {
      watching.stop();
    }
    expect([...disabled]).toEqual([true]);
    expect(await property(b, consoleUnit, 'ActiveEnterTimestampMonotonic')).not.toBe(before);
    expect(await property(b, consoleUnit, 'ActiveState')).toBe('active');
    await eventually('puppet runs are allowed again', () => !existsSync(b.path(lock)));
    expect(textOf(b, keyFile)).toBe(textOf(a, keyFile));
  }, 300_000);

  it('lets a promotion by the fact ask its witness as another user, and rewrite authorized_keys', async () => {
    const { a, b } = pair;
    const keys = '/home/pe-transfer/.ssh/authorized_keys';
    expect(textOf(b, keys)).not.toContain('--hello-only');
    await Promise.all([a.editFact(passive), b.editFact(activeOver(a))]);
    await Promise.all([is(a, 'passive'), is(b, 'active')]);
    expect(textOf(b, keys)).toContain('--hello-only');
    expect(textOf(a, keys)).not.toContain('--hello-only');
    await a.command(`adopt ${await caFingerprint(b)}`); // the databases too
    await asAtFirst(pair);
  }, 300_000);

  it('that systemd cannot make is named by install and check, with what to do', async () => {
    const { b } = pair;
    const dropIn = '/etc/systemd/system/pe-failover.service.d/broken.conf';
    await write(b, dropIn, '[Service]\nReadWritePaths=/no/such/place\n');
    await b.sh('systemctl daemon-reload && systemctl stop pe-failover');
    try {
      const line = /^pe_failover_key: "?([^"\n]+)/m.exec(readFileSync(b.path(factPath), 'utf8'))?.[1] ?? '';
      const installed = await b.command(`install --passive --auth-key '${line}'`);
      expect(installed).toMatchObject({ code: 78, output: expect.stringMatching(/cannot make the sandbox/) as string });
      const { output } = await b.command('check');
      expect(output).toMatch(
        /PROBLEM {2}units: systemd cannot make the sandbox of the unit .*226\/NAMESPACE.*security\.md/,
      );
    } finally {
      await b.sh(
        `rm -r ${dropIn.replace(/\/[^/]*$/, '')}; systemctl daemon-reload; systemctl reset-failed pe-failover`,
      );
      await b.sh('systemctl start pe-failover');
    }
    await untilAgreed(pair);
  });
});

// The kernel of the machine gives its hosts no controllers: that limits hold is systemd's to keep, that they are set is ours.
describe('the slice of the transfer user', () => {
  it('has its limits by what systemd knows, until the program is taken away', async () => {
    const { b } = pair;
    const slice = `user-${(await b.sh('id -u pe-transfer')).trim()}.slice`;
    const limits = (): Promise<string[]> =>
      Promise.all(['TasksMax', 'MemoryMax', 'CPUWeight', 'IOWeight'].map((name) => property(b, slice, name)));
    expect(await limits()).toEqual(['512', '1073741824', '20', '20']);
    expect((await b.command('uninstall')).code).toBe(0);
    expect((await limits())[1]).toBe('infinity');
  });
});
