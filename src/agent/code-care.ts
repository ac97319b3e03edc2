import { join } from 'node:path';
import { toFailure } from '../errors.ts';
import { readDeployedCode, textOf } from '../puppet/deployed-code.ts';
import {
  codeDifferences,
  isCodeNews,
  parseDeployedCode,
  sameCode,
  type CodeDifference,
  type DeployedCode,
  type ToldCode,
} from '../rules/deployed-code.ts';
import { counted } from '../rules/spoken.ts';
import type { Clock } from '../system/clock.ts';
import type { JobLog } from '../system/log.ts';
import type { State } from '../system/state.ts';
import type { Hooks } from './hooks.ts';

export interface CodeCareParts {
  readonly clock: Clock;
  readonly log: JobLog;
  readonly hooks: Pick<Hooks, 'tell'>;
  readonly role: () => 'active' | 'passive' | 'suspended' | undefined;
  /** Where puppet looks for environments. */
  readonly directories: () => Promise<readonly string[]>;
  /** Of the file that travels with `sync-files`. */
  readonly state: State;
}

const lookMs = 10_000;
/** Asking puppet in vain takes a second of a core. */
const afterTroubleMs = 300_000;
const file = 'deployed-code';

/** Lives until the signal fires. The active notes what it has deployed; the spare tells its hooks where it differs. */
export async function careForCode(parts: CodeCareParts, signal: AbortSignal): Promise<void> {
  const { clock, log } = parts;
  const ended = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  let told: ToldCode | undefined;
  let troubled = false;
  const once = async (): Promise<void> => {
    try {
      const role = parts.role();
      if (role === 'active') await noteCode(parts);
      told = role === 'passive' ? await tellCode(parts, told) : undefined;
      troubled = false;
    } catch (error) {
      if (!troubled) log.warning(`It is not known which code is deployed: ${toFailure(error).message}`);
      troubled = true;
    }
  };
  while (!signal.aborted) {
    // A file system that never answers holds up this loop, and not the end of the agent.
    await Promise.race([once(), ended]);
    await clock.sleep(troubled ? afterTroubleMs : lookMs, signal).catch(() => undefined);
  }
}

/** Nothing is written where nothing was ever deployed: no file travels then. */
async function noteCode({ directories, state }: CodeCareParts): Promise<void> {
  const here = await readDeployedCode(await directories());
  const noted = await notedCode(state);
  if (sameCode(noted ?? {}, here)) return;
  await state.write(file, { environments: here });
}

async function tellCode({ directories, state, hooks, clock }: CodeCareParts, before: ToldCode | undefined) {
  const active = await notedCode(state);
  if (active === undefined) return before;
  const environments = codeDifferences(active, await readDeployedCode(await directories()));
  const now = clock.monotonic();
  if (!isCodeNews(before, active, environments, now)) return before;
  hooks.tell('code-deployed', spokenCode(environments), { environments });
  return { active, at: now };
}

async function notedCode({ directory }: State): Promise<DeployedCode | undefined> {
  const text = await textOf(join(directory, `${file}.json`));
  return text === undefined ? undefined : parseDeployedCode(text);
}

function spokenCode(environments: readonly CodeDifference[]): string {
  const named = environments.slice(0, 5).map(({ name }) => name);
  const more = environments.length > named.length ? ' ...' : '';
  return `The active has other code in ${counted(environments.length, 'environment')}: ${named.join(', ')}${more}`;
}
