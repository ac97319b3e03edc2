// Stands in for the remote shell: hands everything on, and writes how many bytes went out. argv = count file, command ...
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';

const [path = '', file = '', ...args] = process.argv.slice(2);
const child = spawn(file, args, { stdio: ['pipe', 'inherit', 'inherit'] });
let sent = 0;
process.stdin.on('data', (chunk: Buffer) => (sent += chunk.length));
process.stdin.pipe(child.stdin);
child.stdin.on('error', () => undefined); // its exit code tells
child.once('exit', (code) => {
  writeFileSync(path, String(sent));
  process.exit(code ?? 255);
});
