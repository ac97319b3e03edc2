import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createRbac, rbacRows, rbacSchema, type RbacSize } from '../helpers/pe-rbac.ts';
import { restoreRole } from '../helpers/postgres-cluster.ts';
import type { Host } from './host.ts';

// What a host has as a Puppet master, before this program comes to it. Each step is what an admin or an installer does.

/** The name under which agents know whichever master serves them. */
export const sharedName = 'puppet.lab';
export const rbac = 'pe-rbac';
export const consoleUnit = 'pe-console-services';
export const consoleHome = '/opt/console';
export const personToken = 'token-of-a-person';

export async function write(host: Host, path: string, text: string, mode = 0o644): Promise<void> {
  await mkdir(dirname(host.path(path)), { recursive: true });
  await writeFile(host.path(path), text);
  await chmod(host.path(path), mode);
}

/** Puppet's agent is there; it asks this master itself, or, on a mere agent, whoever has the shared name. */
export async function configurePuppet(host: Host, server: string): Promise<void> {
  const settings = [`certname = ${host.fqdn}`, `server = ${server}`, `dns_alt_names = ${host.fqdn},${sharedName}`];
  await write(host, '/etc/puppet/puppet.conf', ['[main]', ...settings, ''].join('\n'));
}

/** What apt needs lies in its cache. Debian's package neither enables nor starts the service. */
const unpackServer = (host: Host): Promise<string> =>
  host.sh('DEBIAN_FRONTEND=noninteractive apt-get -qq -y install puppetserver', { timeoutMs: 300_000 });
const startServer = (host: Host): Promise<string> =>
  host.sh('systemctl enable --now puppetserver', { timeoutMs: 300_000 });

/** On the CA that is there. */
export async function installServer(host: Host): Promise<void> {
  await unpackServer(host);
  await startServer(host);
}

/** Of an active that has been there for long: a CA that signs alternative names. */
export async function installFirstServer(host: Host): Promise<void> {
  await unpackServer(host);
  const ca = 'certificate-authority: {\n  allow-subject-alt-names: true\n  enable-infra-crl: true\n}\n';
  await write(host, '/etc/puppet/puppetserver/conf.d/ca.conf', ca);
  await host.sh(`puppetserver ca setup --certname ${host.fqdn} --subject-alt-names ${host.fqdn},${sharedName}`, {
    timeoutMs: 120_000,
  });
  await startServer(host);
}

/** PostgreSQL with a pe-rbac, and the mapping with which PE lets its own user and ours in. */
export async function provideDatabase(host: Host, size: RbacSize): Promise<void> {
  const etc = '/etc/postgresql/15/main';
  const roles = ['pe-rbac', 'pe-rbac-write', restoreRole];
  const maps = [
    `master postgres postgres`,
    ...roles.flatMap((role) => [`master postgres ${role}`, `master root ${role}`]),
  ];
  await write(host, `${etc}/pg_hba.conf`, 'local all all peer map=master\n', 0o644);
  await write(host, `${etc}/pg_ident.conf`, `${maps.join('\n')}\n`, 0o644);
  await write(host, `${etc}/conf.d/master.conf`, "max_connections = 60\nlisten_addresses = ''\n");
  await host.sh('systemctl restart postgresql', { timeoutMs: 60_000 });
  const create = roles.map((role) => `CREATE ROLE "${role}" LOGIN;`).join('\n');
  await psql(host, 'postgres', create);
  await psql(host, 'postgres', createRbac(rbac));
  await psql(host, rbac, `${rbacSchema}\n${rbacRows(size)}`);
}

/** As an administrator of PostgreSQL; gives what is printed, unaligned. */
export async function psql(host: Host, database: string, text: string, timeoutMs = 120_000): Promise<string> {
  const line = `cd / && sudo -u postgres psql -X -q -A -t -v ON_ERROR_STOP=1 -d '${database}' -f -`;
  return await host.sh(line, { input: text, timeoutMs });
}

/** Puppet's keys and certificates of a host. */
export const ssldir = '/var/lib/puppet/ssl';

/** The console services: a unit that takes seconds to start and keeps connections to pe-rbac. */
export async function provideConsole(host: Host): Promise<void> {
  const config = {
    host: host.fqdn,
    port: 4433,
    listen: '0.0.0.0',
    cert: `${ssldir}/certs/${host.fqdn}.pem`,
    key: `${ssldir}/private_keys/${host.fqdn}.pem`,
    ca: `${ssldir}/certs/ca.pem`,
    allowlist: `${consoleHome}/allowlist`,
    groups: `${consoleHome}/groups.json`,
    tokens: [personToken],
    database: { database: rbac, user: 'pe-rbac', host: '/var/run/postgresql', port: 5432 },
  };
  const node = '/srv/checkout/node_modules/.bin/node --disable-warning=ExperimentalWarning';
  const unit = `[Unit]
Description=Console services (stand-in)
After=postgresql.service network.target
[Service]
ExecStartPre=/bin/sleep 2
ExecStart=${node} /srv/checkout/test/stand-in/classifier-main.ts --config ${consoleHome}/config.json
Restart=on-failure
[Install]
WantedBy=multi-user.target
`;
  await write(host, `${consoleHome}/config.json`, JSON.stringify(config));
  await write(host, config.allowlist, `${host.fqdn}\n`);
  await write(host, `/etc/systemd/system/${consoleUnit}.service`, unit);
  await host.sh(`systemctl daemon-reload && systemctl enable --now ${consoleUnit}`, { timeoutMs: 60_000 });
}

/** An alert as a site has it: any line with PE_FAILOVER and FAILURE goes to whoever has duty. */
export const alertFile = '/var/log/alerts';
export async function provideAlerts(host: Host): Promise<void> {
  const rule = `if $msg contains "PE_FAILOVER" and $msg contains "[FAILURE]" then ${alertFile}\n`;
  await write(host, '/etc/rsyslog.d/alerts.conf', rule);
  await host.sh('systemctl restart rsyslog');
}
