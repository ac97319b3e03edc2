// ./scripts/demo [--once] [--json]: two masters on this machine, and a day between them.
import { parseArgs } from 'node:util';
import type { CheckResult, Stage } from './checks.ts';
import { playDay } from './day.ts';
import { createLedger } from './ledger.ts';
import { goOn, visitorHints } from './go-on.ts';
import { playPromotion } from './promotion.ts';
import { createView, type View } from './view.ts';
import { startWorld, type World } from './world.ts';

const { values } = parseArgs({ options: { once: { type: 'boolean' }, json: { type: 'boolean' } } });
const over = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => over.abort());
process.exitCode = await main({ once: values.once === true, json: values.json === true }, over.signal);

async function main(options: { once: boolean; json: boolean }, signal: AbortSignal): Promise<number> {
  const view = createView({ live: process.stdout.isTTY && !options.json });
  const results: CheckResult[] = [];
  let crash: unknown;
  let world: World | undefined;
  try {
    world = await startWorld({ say: view.say, onLine: view.onLine, signal });
    const ledger = createLedger(view.onChange);
    const report = (result: CheckResult): void => {
      results.push(result);
      view.onResult(result);
    };
    const stage: Stage = { world, ledger, signal, report };
    view.open(stage);
    await playDay(stage);
    if (options.once) await playPromotion(stage);
    else {
      view.hint(visitorHints(world));
      await goOn(stage);
    }
  } catch (error) {
    if (!signal.aborted) crash = error;
  }
  view.close();
  results.push(...(await endWorld(world, view, signal.aborted)));
  return conclude({ results, crash, interrupted: signal.aborted && options.once, json: options.json });
}

/** After an interruption, what had to be killed is no finding. */
async function endWorld(world: World | undefined, view: View, hurry: boolean): Promise<CheckResult[]> {
  if (world === undefined) return [];
  view.say('Ending everything');
  const start = performance.now();
  const left = await world.close({ hurry });
  if (hurry) return [];
  const detail = left.length === 0 ? 'every process ended when it was asked' : left.join('; ');
  const seconds = Math.round(performance.now() - start) / 1000;
  const result = { name: 'nothing-left-running', ok: left.length === 0, seconds, detail };
  view.onResult(result);
  return [result];
}

interface End {
  readonly results: readonly CheckResult[];
  readonly crash: unknown;
  readonly interrupted: boolean;
  readonly json: boolean;
}

function conclude({ results, crash, interrupted, json }: End): number {
  if (crash !== undefined) console.error(crash);
  const ok = crash === undefined && !interrupted && results.every((result) => result.ok);
  if (json) console.log(JSON.stringify({ ok, checks: results }));
  else console.log(`${results.filter((result) => result.ok).length} of ${results.length} checks well`);
  return interrupted ? 130 : ok ? 0 : 1;
}
