import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { balancerText } from '../helpers/haproxy.ts';
import { eventually } from './eventually.ts';
import { distrustIfFailed, fullPair, untilServing } from './full-pair.ts';
import type { Host } from './host.ts';
import { report } from './numbers.ts';
import { configure, everything, untilAgreed, type LabMaster, type LabPair } from './pair.ts';
import { sharedName, write } from './provision.ts';
import { addresses } from './switch.ts';

// HAProxy as docs/operate.md shows it, on the host of an agent that knows the shared name only, before two real puppetservers.

const managed = '/etc/served-by';
const unit = 'pe-failover-web.service';
let pair: LabPair;
let agent: Host;

beforeAll(async () => {
  pair = await fullPair();
  agent = pair.lab.host('agent');
  await installAgain('web: {health_listen: "0.0.0.0:8187"}\n');
  for (const master of [pair.a, pair.b]) await provideCode(master);
  await prepareAgent();
}, 1_200_000);
beforeEach(() => distrustIfFailed());
afterAll(async () => {
  await agent.wipe();
  await installAgain('');
}, 300_000);

/** The same as before, and this besides: as README says it of a change. */
async function installAgain(yaml: string): Promise<void> {
  const { a, b } = pair;
  for (const master of [a, b]) await configure(master, everything + yaml);
  const line = (await a.sh(`pe-failover install --active --passive-master ${b.fqdn}`)).split('\n').at(-1) ?? '';
  await b.sh(`pe-failover install --passive --auth-key '${line}'`);
}

/** Each says whose catalog it was. */
async function provideCode(master: LabMaster): Promise<void> {
  const code = `file { '${managed}': content => '${master.name}' }\n`;
  await write(master, '/etc/puppet/code/environments/production/manifests/site.pp', code);
  await master.sh('sync');
}

async function prepareAgent(): Promise<void> {
  await agent.boot();
  await agent.sh('DEBIAN_FRONTEND=noninteractive apt-get -qq -y install haproxy', { timeoutMs: 120_000 });
  const behind = (address: string) => ({ puppetserver: `${address}:8140`, health: 8187 });
  const text = balancerText(':8140', { mastera: behind(addresses.mastera), masterb: behind(addresses.masterb) });
  await write(agent, '/etc/haproxy/haproxy.cfg', text);
  await agent.sh('systemctl restart haproxy');
  await agent.sh(`sed -i '/ ${sharedName}$/d' /etc/hosts; echo '${addresses.agent} ${sharedName}' >> /etc/hosts`);
  await write(agent, '/etc/puppet/puppet.conf', `[main]\ncertname = ${agent.fqdn}\nserver = ${sharedName}\n`);
  await agent.sh('puppet agent -t --waitforcert 0 || true', { timeoutMs: 120_000 });
  await pair.a.sh(`puppetserver ca sign --certname ${agent.fqdn}`);
}

/** A run as cron would start it; throws where it fails. Whose catalog it was. */
async function run(): Promise<string> {
  const { exitCode, stdout, stderr } = await agent.try('puppet agent -t', { timeoutMs: 300_000 });
  if (exitCode !== 0 && exitCode !== 2) throw new Error(`the run failed: ${exitCode}\n${stdout}\n${stderr}`);
  return (await agent.sh(`cat ${managed}`)).trim();
}

const health = async (master: LabMaster, query = ''): Promise<string> =>
  await agent.sh(`curl -s -o /dev/null -m 10 -w '%{http_code}' 'http://${addresses[master.name]}:8187/health${query}'`);

it('is told by an unprivileged process on each master, in a sandbox of less than 2.5 of 10', async () => {
  const { a, b } = pair;
  for (const master of [a, b]) {
    await eventually('200', async () => (await health(master)) === '200');
    const pid = (await master.sh(`systemctl show -p MainPID --value ${unit}`)).trim();
    const status = await master.sh(`cat /proc/${pid}/status`);
    expect(status).toMatch(/^CapEff:\t0+$/m);
    expect(status).toMatch(/^Seccomp:\t2$/m);
    expect(await master.sh(`stat -c %U /proc/${pid}`)).toContain('pe-failover');
    const { exitCode, stdout } = await master.try(`systemd-analyze security --no-pager --threshold=25 ${unit}`);
    expect(exitCode, stdout).toBe(0);
    expect(await master.sh(`systemd-analyze verify /etc/systemd/system/${unit} 2>&1`)).not.toContain('pe-failover');
  }
  await eventually('the active', async () => (await health(a, '?role=active')) === '200');
  expect(await health(b, '?role=active')).toBe('503');
});

it('says in syslog where it answers', async () => {
  const said = await pair.a.sh("journalctl -t pe-failover --no-pager | grep 'web.sh'");
  expect(said).toContain('[SUCCESS] Load balancers are answered at http://0.0.0.0:8187/health');
});

it('brings agent runs to the spare when the active dies, with nobody promoted and none that fails, and back', async () => {
  const { a, b } = pair;
  expect(await run()).toBe('mastera');
  await untilAgreed(pair); // the certificate of the agent is on the spare
  await a.die();
  const start = performance.now();
  expect(await run()).toBe('masterb');
  report('agent run that begins at the death of the active, behind a load balancer', performance.now() - start);
  for (let n = 0; n < 3; n += 1) expect(await run()).toBe('masterb');
  expect((await b.status()).role).toBe('passive');
  expect(await health(b)).toBe('200');
  await a.boot();
  await untilServing(a);
  await eventually('agents are back', async () => (await run()) === 'mastera', { withinMs: 120_000 });
  await untilAgreed(pair);
}, 900_000);

it('leaves agents where they are when the agent of pe-failover alone is dead', async () => {
  const { a } = pair;
  await a.sh('systemctl kill -s KILL pe-failover && systemctl stop pe-failover');
  expect(await health(a)).toBe('200');
  expect(await run()).toBe('mastera');
  await eventually('not surely the active', async () => (await health(a, '?role=active')) === '503', {
    withinMs: 60_000,
  });
  expect(await health(a)).toBe('200');
  expect(await run()).toBe('mastera');
  await a.sh('systemctl start pe-failover');
  await eventually('the active', async () => (await health(a, '?role=active')) === '200');
});
