import { dirname, join } from 'node:path';
import { demandEvent, listHooks } from '../agent/hook-files.ts';
import { hooksOf } from '../agent/hook-events.ts';
import { openHost, openMaster, template, type Host } from '../app.ts';
import { Failure, toFailure } from '../errors.ts';
import { printable } from '../rules/log-line.ts';
import { hookEvents, shippedHooks, type HookEvent } from '../rules/hooks.ts';
import { counted } from '../rules/spoken.ts';
import { askControl } from '../system/control.ts';
import { ensureDirectory, readIfThere, writeFileAtomic } from '../system/files.ts';

export interface HooksOrder {
  /** An event. */
  readonly try: string | undefined;
  /** A hook that comes with the program. */
  readonly enable: string | undefined;
}

/** Lists the hooks of each event, and what is wrong with them; or runs those of one, with an example. */
export async function hooks(root: string, order: HooksOrder, signal: AbortSignal): Promise<number> {
  const event = order.try === undefined ? undefined : demandEvent(order.try);
  const host = await openHost(root);
  if (order.enable !== undefined) await enable(host, order.enable);
  if (event !== undefined) return await tryHooks(host, event, signal);
  return order.enable === undefined ? await list(host) : 0;
}

/** A copy of the admin's own, which may be changed and is not written again. */
async function enable({ paths }: Host, name: string): Promise<void> {
  const place = Object.hasOwn(shippedHooks, name) ? shippedHooks[name] : undefined;
  if (place === undefined) {
    const hint = `There are: ${Object.keys(shippedHooks).join(', ')}`;
    throw new Failure('usage', 'no such hook comes with the program', { where: name, hint });
  }
  const path = join(paths.hooks, place);
  const [wanted, found] = [template(`hooks/${name}`), await readIfThere(path)];
  if (found !== undefined && found !== wanted) {
    const hint = `To have it anew, type: rm ${path}, and this again`;
    throw new Failure('refused', 'another one is there, and stays', { where: path, hint });
  }
  await ensureDirectory(dirname(path), { mode: 0o700 });
  await writeFileAtomic(path, wanted, { mode: 0o700 });
  console.log(`${place} is there, and is run from now on: ${path}`);
}

async function list({ paths }: Host): Promise<number> {
  const { hooks: found, problems } = await listHooks(paths.hooks);
  for (const event of hookEvents) {
    const own = found.filter((hook) => hook.event === event);
    if (own.length === 0) console.log(`${event}: none`);
    for (const { name, standing } of own)
      console.log(printable(standing.is === 'good' ? `${name}: is run` : `${name}: is not run, ${standing.why}`));
  }
  for (const problem of problems) console.log(printable(`PROBLEM  ${problem.message}`));
  console.log(`They lie in ${paths.hooks}/EVENT. To try those of an event, type: pe-failover hooks --try EVENT`);
  return problems.length === 0 ? 0 : 2;
}

interface Tried {
  readonly ran: number;
  readonly failed: number;
}

async function tryHooks(host: Host, event: HookEvent, signal: AbortSignal): Promise<number> {
  const say = (line: unknown): void => console.log(printable(String(line)));
  const { ran, failed } = await throughAgent(host, event, say, signal);
  if (failed > 0)
    throw new Failure('dependency', `${counted(failed, 'hook')} of ${event} ${failed === 1 ? 'is' : 'are'} not well`);
  if (ran === 0) console.log(`No hook of ${event} is there to be run.`);
  return 0;
}

/** As they are run later: by the agent, and in its sandbox. */
async function throughAgent(
  host: Host,
  event: HookEvent,
  say: (line: unknown) => void,
  signal: AbortSignal,
): Promise<Tried> {
  try {
    return (await askControl(host.paths.control, 'try-hooks', { event }, { signal, onLine: say })) as Tried;
  } catch (error) {
    if (toFailure(error).class !== 'unreachable') throw error;
    say('No agent runs: they are run by this command, without the sandbox of the agent.');
    const master = await openMaster(host, { stderr: false, besideAgent: true });
    try {
      return await hooksOf(master).try(event, say, signal);
    } finally {
      await master.log.close();
    }
  }
}
