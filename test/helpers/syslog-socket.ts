import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** A syslog of one's own: a real unix datagram socket (Node.js has none), read by a small perl program. */
export interface SyslogSocket {
  /** Resolves with the first datagram from now on, or already here, that contains the text. */
  awaitLine(text: string): Promise<string>;
  readonly lines: readonly string[];
  close(): Promise<void>;
}

const program = `use Socket; $| = 1; unlink $ARGV[0];
socket(S, AF_UNIX, SOCK_DGRAM, 0) or die; bind(S, sockaddr_un($ARGV[0])) or die; print "ready\\n";
while (defined recv(S, $b, 65536, 0)) { print "$b\\n" }`;

export async function openSyslogSocket(path: string): Promise<SyslogSocket> {
  const child = spawn('/usr/bin/perl', ['-e', program, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const reader = createInterface({ input: child.stdout });
  const ready = once(reader, 'line');
  await ready;
  reader.on('line', (line) => {
    lines.push(line);
    for (const look of waiting) look();
  });
  return {
    lines,
    awaitLine: (text) =>
      new Promise((resolve) => {
        const look = (): void => {
          const found = lines.find((line) => line.includes(text));
          if (found === undefined) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      }),
    close: async () => {
      const gone = once(child, 'close');
      child.kill('SIGKILL');
      await gone;
    },
  };
}
