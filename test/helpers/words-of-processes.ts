import { readdirSync, readFileSync } from 'node:fs';

const everyMs = 10;

/** Arguments and environments of all that runs on this machine meanwhile, as anybody or root could read them. */
export interface WordsOfProcesses extends Disposable {
  /** What was seen so far. */
  seen(): ReadonlySet<string>;
}

export function watchWordsOfProcesses(): WordsOfProcesses {
  const seen = new Set<string>();
  const last = new Map<string, string>();
  const look = (): void => {
    for (const pid of readdirSync('/proc')) {
      if (!/^\d+$/.test(pid)) continue;
      const command = read(`/proc/${pid}/cmdline`);
      if (command === '' || last.get(pid) === command) continue;
      last.set(pid, command);
      for (const words of [command, read(`/proc/${pid}/environ`)]) seen.add(words.replaceAll('\0', ' '));
    }
  };
  const timer = setInterval(look, everyMs);
  return { seen: () => seen, [Symbol.dispose]: () => clearInterval(timer) };
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return ''; // ended meanwhile
  }
}
