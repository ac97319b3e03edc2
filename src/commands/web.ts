import { existsSync } from 'node:fs';
import { Failure, toFailure } from '../errors.ts';
import { parseListen, type Listen } from '../rules/listen.ts';
import { systemClock } from '../system/clock.ts';
import { createHttpClient, type HttpClient } from '../system/http-client.ts';
import { serveHttp, type HttpServer, type WebAnswer, type WebRequest } from '../system/http-server.ts';
import { createLog, type Log } from '../system/log.ts';
import { loggerOf } from '../system/syslog.ts';
import { caCopy } from '../system/web-notes.ts';
import { createHealth } from '../web/health.ts';
import { createPuppetserver } from '../web/puppetserver.ts';
import { answerBy } from '../web/routes.ts';

/** As the unit has it: the configuration is root's. */
export interface WebOptions {
  /** `address:port`, or `off`. */
  readonly health: string;
  readonly puppetserver: string;
  /** The name that puppetserver's certificate must have. */
  readonly certname: string;
  /** File of the CA's certificate. */
  readonly ca: string;
  /** Directory of what the agent tells. */
  readonly notes: string;
}

/** The unprivileged process: answers load balancers, until a signal ends it. */
export async function web(root: string, options: WebOptions, signal: AbortSignal): Promise<number> {
  const listen = parseListen(options.health);
  if (listen === undefined || parseListen(options.puppetserver) === undefined)
    throw new Failure('config', 'the web process has nothing to answer', {
      hint: 'Set web.health_listen in the configuration, and type again what installed this master',
    });
  const log = createLog({ clock: systemClock, logger: loggerOf(root), stderr: process.stderr });
  try {
    const http = httpBy(options);
    const asked = createPuppetserver(http, `https://${options.puppetserver}`, () => systemClock.monotonic());
    const server = await listenPatiently(
      listen,
      answerBy({ '/health': createHealth(options.notes, asked) }),
      log,
      signal,
    );
    if (server === undefined) return 0;
    log.forJob('web').success(`Load balancers are answered at http://${options.health}/health`);
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    await server.close();
    return 0;
  } finally {
    await log.close();
  }
}

/** By the copy of the CA that the agent makes; by the original where no agent ran since the machine began, if that can be read. */
function httpBy({ notes, ca, certname }: WebOptions): HttpClient {
  const copy = caCopy(notes);
  return (request) => createHttpClient({ ca: existsSync(copy) ? copy : ca, servername: certname })(request);
}

const againMs = 5_000;

/** An address may come late at a boot, and a port may be another's for a while: said once. */
async function listenPatiently(
  listen: Listen,
  answer: (request: WebRequest) => Promise<WebAnswer>,
  log: Log,
  signal: AbortSignal,
): Promise<HttpServer | undefined> {
  while (!signal.aborted) {
    try {
      const server = await serveHttp(listen, answer);
      log.worked('web');
      return server;
    } catch (error) {
      log.failed('web', toFailure(error));
    }
    await systemClock.sleep(againMs, signal).catch(() => undefined);
  }
  return undefined;
}
