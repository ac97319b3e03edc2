import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readCrls } from '../../src/system/certificates.ts';
import { eventually } from './eventually.ts';
import { distrustIfFailed, fullPair } from './full-pair.ts';
import { untilAgreed, type LabMaster, type LabPair } from './pair.ts';
import { alertFile, sharedName } from './provision.ts';
import { report } from './numbers.ts';
import { addresses, type HostName } from './switch.ts';

let pair: LabPair;
beforeAll(async () => {
  pair = await fullPair();
}, 900_000);
beforeEach(() => {
  distrustIfFailed();
  pair.a.syslog.forget();
  pair.b.syslog.forget();
});
afterEach(() => pair.lab.network.heal());

const signed = (master: LabMaster, name: string): string => join(master.cadir, 'signed', `${name}.pem`);
const serialOf = async (master: LabMaster, path: string): Promise<bigint> =>
  BigInt(`0x${(await master.sh(`openssl x509 -noout -serial -in ${path}`)).replace('serial=', '')}`);
/** As an agent of that name would ask; gives the status, or what TLS said. */
async function ask(from: LabMaster, to: LabMaster, as: string, path: string): Promise<string> {
  const ssl = '/var/lib/puppet/ssl';
  const line = `curl -s -o /dev/null -m 10 -w '%{http_code}' --cacert ${ssl}/certs/ca.pem --cert ${ssl}/certs/${as}.pem --key ${ssl}/private_keys/${as}.pem https://${to.fqdn}:8140${path} || true`;
  return await from.sh(line);
}
const generate = (name: string): Promise<string> =>
  pair.a.sh(`puppetserver ca generate --certname ${name}`, { timeoutMs: 60_000 });

describe('a spare that had the agent package alone', () => {
  it('has a puppetserver with the CA of the active, and a certificate of its own from it', async () => {
    const { a, b } = pair;
    const own = `/var/lib/puppet/ssl/certs/${b.fqdn}.pem`;
    expect(await b.sh(`openssl verify -CAfile /var/lib/puppet/ssl/certs/ca.pem ${own}`)).toContain('OK');
    expect(readFileSync(join(b.cadir, 'ca_crt.pem'), 'utf8')).toBe(readFileSync(join(a.cadir, 'ca_crt.pem'), 'utf8'));
    expect(readFileSync(join(b.cadir, 'ca_key.pem'), 'utf8')).toBe(readFileSync(join(a.cadir, 'ca_key.pem'), 'utf8'));
    expect(await b.sh(`openssl x509 -noout -ext subjectAltName -in ${own}`)).toContain(sharedName);
  });

  it('signed it with a serial far above those that the active had given out', async () => {
    const of = (host: LabMaster): Promise<bigint> => serialOf(host, `/var/lib/puppet/ssl/certs/${host.fqdn}.pem`);
    expect((await of(pair.b)) - (await of(pair.a))).toBeGreaterThan(50_000n);
  });
});

describe('a certificate', () => {
  it('signed by puppetserver of the active is served by that of the spare', async () => {
    const { b } = pair;
    await generate('signed.lab');
    await eventually('live on the spare', () => existsSync(signed(b, 'signed.lab')), { withinMs: 5_000, everyMs: 5 });
    const path = '/puppet-ca/v1/certificate/signed.lab';
    await eventually('served', async () => (await ask(b, b, b.fqdn, path)) === '200', { withinMs: 1_000, everyMs: 20 });
  });

  it('is on the spare a moment after it is signed, each time', async () => {
    const { a, b } = pair;
    for (let n = 0; n < 10; n += 1) {
      const name = `moment-${n}.lab`;
      const sent = generate(name);
      await eventually('signed', () => existsSync(signed(a, name)), { everyMs: 1 });
      const at = performance.now();
      await eventually('live there', () => existsSync(signed(b, name)), { everyMs: 1 });
      report('signed by puppetserver until live on the spare', performance.now() - at);
      await sent;
    }
  });

  it('revoked on the active is refused by puppetserver of the spare within a second of being so there', async () => {
    const { a, b } = pair;
    await generate('revoked.lab');
    await eventually('live on the spare', () => existsSync(signed(b, 'revoked.lab')));
    const status = '/puppet/v3/status/any?environment=production';
    expect(await ask(a, b, 'revoked.lab', status)).not.toBe('000');
    await a.sh('puppetserver ca revoke --certname revoked.lab');
    const refused = async (to: LabMaster): Promise<boolean> => (await ask(a, to, 'revoked.lab', status)) === '000';
    await eventually('refused by the active', () => refused(a), { everyMs: 10 });
    const at = performance.now();
    await eventually('refused by the spare', () => refused(b), { withinMs: 1_000, everyMs: 10 });
    report('refused by the active until refused by the spare', performance.now() - at);
  });

  it('cleaned on the active is gone from the spare, and revoked there', async () => {
    const { a, b } = pair;
    await generate('cleaned.lab');
    await eventually('live on the spare', () => existsSync(signed(b, 'cleaned.lab')));
    const serial = await serialOf(b, '/etc/puppet/puppetserver/ca/signed/cleaned.lab.pem');
    await a.sh('puppetserver ca clean --certname cleaned.lab');
    await eventually('gone', () => !existsSync(signed(b, 'cleaned.lab')));
    const list = readFileSync(join(b.cadir, 'ca_crl.pem'));
    expect(readCrls(list, b.name).flatMap(({ revoked }) => [...revoked.keys()])).toContain(serial);
  });
});

describe('an agent that knows the shared name only', () => {
  it('is served by the active, and after a change of the name by the spare, without a change of its own', async () => {
    const { a, b, lab } = pair;
    const agent = lab.host('agent');
    await agent.boot();
    try {
      const pointTo = (host: HostName): Promise<string> =>
        agent.sh(`sed -i '/ ${sharedName}$/d' /etc/hosts; echo '${addresses[host]} ${sharedName}' >> /etc/hosts`);
      await agent.sh(
        `printf '[main]\\ncertname = ${agent.fqdn}\\nserver = ${sharedName}\\n' > /etc/puppet/puppet.conf`,
      );
      const manifest = '/etc/puppet/code/environments/production/manifests/site.pp';
      for (const master of [a, b]) {
        const code = `file { '/etc/managed': content => 'by puppet' }`;
        await master.sh(`mkdir -p ${manifest.replace(/\/[^/]*$/, '')} && echo "${code}" > ${manifest}`);
      }
      await pointTo('mastera');
      const run = 'puppet agent -t --http_keepalive_timeout 0s';
      await agent.sh(`${run} --waitforcert 0 || true`, { timeoutMs: 120_000 });
      await a.sh(`puppetserver ca sign --certname ${agent.fqdn}`);
      const first = await agent.try(run, { timeoutMs: 120_000 });
      expect([first.exitCode, first.stderr]).toEqual([2, '']); // 2: something was changed
      await eventually('its certificate is on the spare', () => existsSync(signed(b, agent.fqdn)));
      await pointTo('masterb');
      const second = await agent.try(run, { timeoutMs: 120_000 });
      expect([second.exitCode, second.stderr]).toEqual([0, '']);
      expect(second.stdout).toContain('Applied catalog');
    } finally {
      await agent.wipe();
    }
  }, 300_000);
});

describe('syslog', () => {
  const alerts = (master: LabMaster): string[] =>
    existsSync(master.path(alertFile)) ? readFileSync(master.path(alertFile), 'utf8').split('\n').slice(0, -1) : [];

  it('has a line on both masters for what came through, and the alert does not fire', async () => {
    const { a, b } = pair;
    const before = [alerts(a).length, alerts(b).length];
    await generate('logged.lab');
    await a.syslog.says(/PE_FAILOVER: sync_certs\.sh ---> \[SUCCESS\] Completed sync of Puppet CA directory/);
    await b.syslog.says(/PE_FAILOVER: update_passive_ca\.sh ---> \[SUCCESS\]/);
    expect([alerts(a).length, alerts(b).length]).toEqual(before);
  });

  it('has one FAILURE of a job when the spare is gone, for which the alert fires, and a SUCCESS when it is back', async () => {
    const { a, b, lab } = pair;
    const before = alerts(a).length;
    await lab.network.apply({ kind: 'unplugged', host: 'masterb' });
    await generate('unplugged.lab');
    await a.syslog.says(/sync_certs\.sh ---> \[FAILURE\]/, 60_000);
    await eventually('the alert fires', () => alerts(a).length > before);
    await lab.network.heal();
    await a.syslog.says(/sync_certs\.sh ---> \[SUCCESS\] Completed sync/, 60_000);
    await eventually('live on the spare', () => existsSync(signed(b, 'unplugged.lab')));
    const fired = alerts(a).slice(before);
    const scripts = fired.map((line) => /(\w+)\.sh --->/.exec(line)?.[1]);
    expect(scripts, fired.join('\n')).toContain('sync_certs');
    expect(new Set(scripts).size, `each job says it once: ${fired.join('\n')}`).toBe(scripts.length);
    await untilAgreed(pair);
  });
});
