import { createLocalAgent } from '../agent/local-agent.ts';
import { removeKeyLine } from '../agent/removal.ts';
import type { Master } from '../app.ts';
import { createAgentListsBook } from '../drops/agent-lists-book.ts';
import { createSpareTraces } from '../drops/spare-traces.ts';
import { openOther } from '../order-work.ts';
import { carryOutHere } from '../procedure-work.ts';
import type { CarryOutOptions } from '../procedures/carry-out.ts';
import { forgetSpare, type ForgetParts } from '../procedures/forget.ts';
import { createHostCertificates } from '../puppet/host-certificate.ts';
import { settingsOf } from '../role-work.ts';
import { classifierOf, findCadir } from '../surroundings.ts';
import { readRole } from '../system/fact.ts';
import { endProcessesOf } from '../system/processes.ts';
import { createState } from '../system/state.ts';

/** On the active: takes everything of a spare that is gone out of it. */
export const forget = (
  root: string,
  host: string,
  cleanCertificate: boolean,
  options: CarryOutOptions,
  signal: AbortSignal,
): Promise<number> =>
  carryOutHere(
    root,
    options,
    async (master, operator) => forgetSpare(await forgetParts(master, operator, host.toLowerCase(), cleanCertificate)),
    signal,
  );

/** With the real tools of this master. */
export async function forgetParts(
  master: Master,
  operator: string,
  host: string,
  cleanCertificate: boolean,
): Promise<ForgetParts> {
  const { paths, spare, published, certname, clock, config, exec } = master;
  const lists = createAgentListsBook(createState(paths.state));
  const door = removeKeyLine({ paths });
  return {
    ...{ host, own: certname },
    traces: createSpareTraces({ paths, gate: spare.gate, published }),
    role: async () => (await readRole(paths.fact)).role,
    greet: (signal) => greet(master, operator, signal),
    agent: createLocalAgent(paths.control, spare.gate, clock),
    shutOut: () => shutOut(master),
    isShutOut: async () => !(await door.isNeeded()),
    ...(config.jobs.nc_dump.enabled ? { groups: { classifier: classifierOf(master), lists } } : {}),
    ...(cleanCertificate ? { certificate: createHostCertificates(exec, () => findCadir(master)) } : {}),
    secrets: await secretsOf(master),
  };
}

async function greet(master: Master, operator: string, signal: AbortSignal) {
  await using other = await openOther(master, operator);
  return await other.greet(AbortSignal.any([signal, AbortSignal.timeout(20_000)]));
}

/** ORDER: no new login, then no old one. */
async function shutOut({ paths, system, transferIds }: Master): Promise<void> {
  const door = removeKeyLine({ paths });
  if (await door.isNeeded()) await door.make();
  const ids = system ? await transferIds() : undefined;
  if (ids !== undefined) await endProcessesOf(ids.uid);
}

/** Both masters are alike, so it lies there where it lies here. */
async function secretsOf(master: Master): Promise<string[]> {
  const { paths, config } = master;
  const cadir = await findCadir(master).catch(() => undefined);
  const { sentFiles, databases } = settingsOf(master);
  const named = databases.map(({ name }) => name);
  return [
    ...(cadir === undefined ? [] : [`${cadir} and ${cadir}.replaced-*: the keys of the CA`]),
    `${paths.keys.directory}: its own keys`,
    `${paths.data}: archive, drops, and what waits`,
    ...(named.length === 0 ? [] : [`in PostgreSQL: ${named.join(', ')} (passwords and tokens)`]),
    ...sentFiles,
    ...(config.deadman.url === undefined ? [] : [`${paths.config}: the URL of its dead-man service`]),
  ];
}
