import type { CheckResult, Stage } from './checks.ts';
import { runningConsole } from './console-service.ts';
import { kinds, type Change } from './ledger.ts';
import { commandOutput, roleInFact, type DemoMaster } from './master.ts';

/** What a visitor sees: a table that is drawn anew in place on a terminal, plain lines elsewhere. */
export interface View {
  say(line: string): void;
  /** Stays below the table from now on. */
  hint(lines: readonly string[]): void;
  onLine(letter: 'A' | 'B', line: string): void;
  onChange(change: Change): void;
  onResult(result: CheckResult): void;
  open(stage: Stage): void;
  close(): void;
}

const redrawMs = 500;
const askEveryMs = 3_000;
const shownLines = 8;

export function createView({ live }: { live: boolean }): View {
  const lines: string[] = [];
  const ages = new Map<string, number>();
  const timers: NodeJS.Timeout[] = [];
  let stage: Stage | undefined;
  let hints: readonly string[] = [];
  const say = (line: string): void => {
    if (stage === undefined || !live) console.log(line);
    else lines.push(line);
  };
  const draw = async (opened: Stage): Promise<void> => {
    const text = await picture(opened, [...lines.slice(-shownLines), '', ...hints], ages);
    if (stage !== undefined) process.stdout.write(`\x1b[H${text.replaceAll('\n', '\x1b[K\n')}\x1b[J`);
  };
  return {
    say,
    hint: (told) => {
      hints = told;
      if (!live) for (const line of told) console.log(line);
    },
    onLine: (letter, line) => {
      // SUCCESS is told by the table itself.
      if (live ? line.includes('PE_FAILOVER') : /\[(WARNING|FAILURE)\]/.test(line)) say(`${letter}: ${line}`);
    },
    onChange: (change) => {
      if (!live) say(`${change.kind}: ${change.what}: ${endOf(change)}`);
    },
    onResult: ({ name, ok, seconds, detail }) => say(`${ok ? 'ok  ' : 'FAIL'} ${name} (${seconds} s): ${detail}`),
    open: (opened) => {
      stage = opened;
      if (!live) return;
      process.stdout.write('\x1b[2J');
      const often = (work: () => Promise<void>, ms: number): void =>
        void timers.push(setInterval(() => void work().catch(() => undefined), ms));
      often(() => draw(opened), redrawMs);
      often(() => askAges(opened, ages), askEveryMs);
    },
    close: () => {
      for (const timer of timers) clearInterval(timer);
      stage = undefined;
      if (live) process.stdout.write('\n');
    },
  };
}

async function picture(stage: Stage, lines: readonly string[], ages: ReadonlyMap<string, number>): Promise<string> {
  const { world, ledger } = stage;
  const masters = [await describe(world.a), await describe(world.b)];
  const rows = kinds.map((kind) => {
    const change = ledger.latest(kind);
    const age = ages.get(kind);
    return [
      kind,
      change?.what ?? '-',
      change === undefined ? '-' : `${seconds(Date.now() - change.at)} ago`,
      change === undefined ? '-' : endOf(change),
      age === undefined ? '-' : `${seconds(age * 1000)} ago`,
    ];
  });
  const head = ['', 'last change on the active', 'made', 'live on the spare', 'agreed'];
  const width = process.stdout.columns || 120;
  return [
    `pe-failover demo, ${new Date().toTimeString().slice(0, 8)}, ${ledger.count()} changes`,
    '',
    ...masters,
    '',
    ...table([head, ...rows]),
    '',
    ...lines,
    '',
  ]
    .map((line) => line.slice(0, width - 1))
    .join('\n');
}

async function describe(master: DemoMaster): Promise<string> {
  const console = await runningConsole(master.consoleDirectory);
  const service = console === undefined ? 'stopped' : `process ${console.pid}`;
  return `${master.letter}  ${master.certname}  ${roleInFact(master).padEnd(8)} console ${service.padEnd(14)} fact ${master.fact}`;
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, n) => Math.max(...rows.map((row) => row[n]?.length ?? 0)));
  return rows.map((row) => row.map((cell, n) => cell.padEnd(widths[n] ?? 0)).join('  '));
}

function endOf({ end, at }: Change): string {
  if (end === undefined) return `on its way for ${seconds(Date.now() - at)}`;
  return 'notSeen' in end ? `not seen: ${end.notSeen}` : `after ${seconds(end.liveAfterMs)}`;
}

const streamKinds: Readonly<Record<string, string>> = {
  'sync-certs': 'CA',
  'nc-dump': 'node groups',
  'db-dump.pe-rbac': 'RBAC',
  'sync-files': 'key files',
};

/** How long ago both sides last agreed that they have the same, by the spare's status. */
async function askAges({ world }: Stage, ages: Map<string, number>): Promise<void> {
  const spare = roleInFact(world.b) === 'passive' ? world.b : world.a;
  const report = JSON.parse(await commandOutput(spare, 'status', '--json')) as {
    components: { stream: string; ageSeconds?: number }[];
  };
  for (const { stream, ageSeconds } of report.components)
    if (ageSeconds !== undefined) ages.set(streamKinds[stream] ?? stream, ageSeconds);
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 0)} s`;
