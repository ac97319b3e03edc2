import type { Master } from '../app.ts';
import { openHost } from '../app.ts';
import { createAgentListsBook } from '../drops/agent-lists-book.ts';
import { Failure } from '../errors.ts';
import { openOther } from '../order-work.ts';
import { carryOutHere } from '../procedure-work.ts';
import type { CarryOutOptions } from '../procedures/carry-out.ts';
import { disableSpare, enableSpare, type ListsParts } from '../procedures/enable.ts';
import { settingsOf } from '../role-work.ts';
import { agentLines, agentLinesBack } from '../rules/agent-lines.ts';
import { topologies, type Topology } from '../rules/agent-lists.ts';
import { classifierOf } from '../surroundings.ts';
import { readRole } from '../system/fact.ts';
import { createState } from '../system/state.ts';

export interface EnableOptions extends CarryOutOptions {
  readonly topology: string | undefined;
  readonly skipAgentConfig: boolean;
}

/** On the active: tells agents that they may go to the spare. Without PE's classifier it prints what to write. */
export async function enable(root: string, host: string, options: EnableOptions, signal: AbortSignal): Promise<number> {
  const topology = topologyOf(options.topology);
  const name = host.toLowerCase();
  if (await printsLines(root, name, agentLines)) return 0;
  return await carryOutHere(
    root,
    options,
    async (master, operator) =>
      enableSpare({
        ...partsOf(master, operator, name),
        ...{ topology, skipAgentConfig: options.skipAgentConfig, build: settingsOf(master).build },
      }),
    signal,
  );
}

/** Takes that back. */
export async function disable(
  root: string,
  host: string,
  options: CarryOutOptions,
  signal: AbortSignal,
): Promise<number> {
  const name = host.toLowerCase();
  if (await printsLines(root, name, agentLinesBack)) return 0;
  const make = async (master: Master, operator: string) => disableSpare(partsOf(master, operator, name));
  return await carryOutHere(root, options, make, signal);
}

function topologyOf(text: string | undefined): Topology | undefined {
  if (text === undefined) return undefined;
  const found = topologies.find((one) => one === text);
  if (found !== undefined) return found;
  throw new Failure('usage', 'there is no such topology', { where: text, hint: `It is ${topologies.join(' or ')}` });
}

/** Open-source Puppet has no classifier. */
async function printsLines(
  root: string,
  host: string,
  lines: (own: string, spare: string) => string[],
): Promise<boolean> {
  const { config, certname } = await openHost(root);
  if (config.platform === 'pe') return false;
  for (const line of lines(certname, host)) console.log(line);
  return true;
}

function partsOf(master: Master, operator: string, host: string): ListsParts {
  const { paths, certname } = master;
  return {
    ...{ host, own: certname, classifier: classifierOf(master) },
    lists: createAgentListsBook(createState(paths.state)),
    role: async () => (await readRole(paths.fact)).role,
    greet: async (signal) => {
      await using other = await openOther(master, operator);
      return await other.greet(AbortSignal.any([signal, AbortSignal.timeout(20_000)]));
    },
  };
}
