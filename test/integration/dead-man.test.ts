import { describe, expect, it, onTestFinished } from 'vitest';
import { createDeadMan, type DeadMan, type DeadManParts } from '../../src/agent/dead-man.ts';
import type { Reported } from '../../src/rules/dead-man.ts';
import { createHttpClient } from '../../src/system/http-client.ts';
import { createAgentPair, filesOnly, startBoth } from '../helpers/agents.ts';
import { startDeadMan, startProxy, well } from '../helpers/dead-man-service.ts';
import { createHandClock } from '../helpers/hand-clock.ts';
import { memoryLog } from '../helpers/pair.ts';
import { freePort } from '../helpers/sshd.ts';
import { createTlsAuthority } from '../helpers/tls-authority.ts';

const secret = '5f2c0ffee-secret';
let minute = 0;
/** Each is newer than the last one. */
const verified = (extra: Partial<Reported> = {}): Reported => {
  const confirmed = new Date((minute += 60_000)).toISOString();
  const component = { stream: 'sync-files', state: 'applied', why: '', limitSeconds: 900, ageSeconds: 5, confirmed };
  return { verdict: { code: 0 }, role: 'active', epoch: '1.a', agent: {}, components: [component], ...extra };
};

interface Bench {
  readonly deadMan: DeadMan;
  readonly log: ReturnType<typeof memoryLog>;
  readonly clock: ReturnType<typeof createHandClock>;
}

function bench(url: string, extra: Partial<DeadManParts> = {}): Bench {
  const [log, clock] = [memoryLog(), createHandClock()];
  const http = createHttpClient({ mayBePlain: true, proxies: {} });
  const deadMan = createDeadMan({ url, everyMs: 300_000, timeoutMs: 2_000, http, clock, log, ...extra });
  onTestFinished(() => deadMan.close());
  return { deadMan, log, clock };
}

/** Shows a new report each minute, until this many lines were said. */
const untilSaid = ({ deadMan, log, clock }: Bench, lines: number): Promise<void> =>
  expect
    .poll(
      async () => {
        await clock.advance(60_000);
        deadMan.hear(verified());
        return log.lines.length;
      },
      { timeout: 20_000, interval: 20 },
    )
    .toBe(lines);

describe('a dead-man URL', () => {
  it('gets one GET in its time, by plain HTTP, and none where nothing new was verified', async () => {
    await using service = await startDeadMan();
    const { deadMan, clock, log } = bench(`http://127.0.0.1:${service.port}/${secret}?a=b`);
    const report = verified();
    for (let n = 0; n < 3; n += 1) deadMan.hear(report);
    await expect.poll(() => service.pings).toEqual([`GET /${secret}?a=b`]);
    await expect
      .poll(async () => {
        await clock.advance(1);
        deadMan.hear(verified());
        return service.pings.length;
      })
      .toBe(1); // not before its time
    await clock.advance(300_000);
    deadMan.hear(report);
    deadMan.hear(verified({ verdict: { code: 2 } }));
    deadMan.hear(verified());
    await expect.poll(() => service.pings.length).toBe(2);
    expect(log.lines).toEqual([]);
  });

  it('that fails is a WARNING once, and a SUCCESS when it works again; nothing secret is in them', async () => {
    await using service = await startDeadMan();
    const made = bench(`http://user:${secret}@127.0.0.1:${service.port}/${secret}`);
    service.answer = (request, response) => {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ kind: String(request.url), msg: `no such check: ${String(request.url)}` }));
    };
    await untilSaid(made, 1);
    const before = service.pings.length;
    await expect
      .poll(async () => {
        await made.clock.advance(60_000);
        made.deadMan.hear(verified());
        return service.pings.length;
      })
      .toBeGreaterThan(before + 3);
    expect(made.log.lines).toHaveLength(1);
    service.answer = well;
    await untilSaid(made, 2);
    expect(made.log.lines).toEqual([
      `[WARNING] The dead-man URL at 127.0.0.1:${service.port} could not be pinged: it answers with status 404`,
      expect.stringMatching(/^\[SUCCESS\] The dead-man URL at 127\.0\.0\.1:\d+ is pinged again after \d+ min/),
    ]);
    expect(made.log.lines.join()).not.toContain(secret);
  });

  it('that redirects is not followed', async () => {
    await using elsewhere = await startDeadMan();
    await using service = await startDeadMan();
    const to = `http://127.0.0.1:${elsewhere.port}/`;
    service.answer = (_, response) => void response.writeHead(301, { location: to }).end();
    const made = bench(`http://127.0.0.1:${service.port}/${secret}`);
    await untilSaid(made, 1);
    expect(made.log.lines[0]).toMatch(/a redirection \(status 301\), which is not followed: .* deadman\.url$/);
    expect(elsewhere.pings).toEqual([]);
  });

  it('that is shut, stands still, or is no name is a WARNING with the cause, and delays nobody', async () => {
    await using service = await startDeadMan();
    service.answer = () => undefined;
    const urls: [string, RegExp][] = [
      [`http://127.0.0.1:${await freePort()}/${secret}`, /no answer \(ECONNREFUSED\)/],
      [`http://127.0.0.1:${service.port}/${secret}`, /no answer \((connect-)?timeout\)/],
      [`http://no-such-host.invalid/${secret}`, /no answer \((ENOTFOUND|EAI_AGAIN)\)/],
    ];
    for (const [url, why] of urls) {
      const made = bench(url, { timeoutMs: 500 });
      const at = performance.now();
      made.deadMan.hear(verified());
      expect(performance.now() - at).toBeLessThan(50);
      await untilSaid(made, 1);
      expect(made.log.lines[0]).toMatch(why);
      expect(made.log.lines[0]).not.toContain(secret);
      made.deadMan.close();
    }
  });

  it('that is being pinged when the role changes is let go, without a word', async () => {
    await using service = await startDeadMan();
    let [asked, left] = [false, false];
    service.answer = (request) => {
      asked = true;
      request.socket.on('close', () => (left = true));
    };
    const { deadMan, log } = bench(`http://127.0.0.1:${service.port}/`, { timeoutMs: 60_000 });
    deadMan.hear(verified());
    await expect.poll(() => asked).toBe(true);
    deadMan.hear(verified({ agent: { changing: 'the fact says passive' } }));
    await expect.poll(() => left).toBe(true);
    expect(log.lines).toEqual([]);
  });

  it('is pinged by HTTPS where its certificate is of a known authority, through the proxy of the environment', async () => {
    const authority = await createTlsAuthority();
    onTestFinished(() => authority.close());
    await using service = await startDeadMan(await authority.issue('localhost', ['IP:127.0.0.1']));
    await using proxy = await startProxy();
    const url = `https://127.0.0.1:${service.port}/${secret}`;
    const proxies = { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` };
    const { deadMan } = bench(url, { http: createHttpClient({ ca: authority.caPath, proxies }) });
    deadMan.hear(verified());
    await expect.poll(() => service.pings).toEqual([`GET /${secret}`]);
    expect(proxy.asked).toEqual([`127.0.0.1:${service.port}`]);
    const stranger = bench(url); // by the authorities of this machine, which do not know it
    await untilSaid(stranger, 1);
    expect(stranger.log.lines[0]).toMatch(/no answer \((UNABLE_TO|SELF_SIGNED)\w+\)/);
    expect(service.pings).toHaveLength(1);
  });
});

it(
  'two masters ping theirs when everything was verified, and fall silent when one is dead',
  { timeout: 120_000 },
  async () => {
    await using ofBoth = await startDeadMan();
    const url = `http://127.0.0.1:${ofBoth.port}`;
    const config = (root: string): string =>
      `${filesOnly()}deadman: {url: "${url}/${secret}-${root.slice(-1)}", every: 10s}\n`;
    await using pair = await createAgentPair(config);
    const { a, b } = pair;
    const from = (side: string): number => ofBoth.pings.filter((ping) => ping.endsWith(`-${side}`)).length;
    await startBoth(pair);
    await expect.poll(() => [from('a') > 0, from('b') > 0], { timeout: 60_000 }).toEqual([true, true]);
    await b.stop('SIGKILL');
    const last = from('a');
    await new Promise((resolve) => setTimeout(resolve, 30_000));
    expect(from('a')).toBeLessThanOrEqual(last + 1); // of what b signed before it died
    expect([...a.log, ...b.log].join('\n')).not.toContain(secret);
    expect(a.command('status', '--json').output + a.command('check', '--quick').output).not.toContain(secret);
  },
);
