// The gate as a forced command of tests: dies at the point that the file `ROOT/die-at-gate` names, once.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runReceive } from '../../../src/commands/receive.ts';
import { die } from '../../helpers/deaths.ts';

const args = process.argv.slice(3); // the word `receive` stands first
const mark = join(args[args.indexOf('--root') + 1] ?? '', 'die-at-gate');
const point = read();
process.exitCode = await runReceive(args, (now) => {
  if (now !== point) return;
  rmSync(mark);
  die();
});

function read(): string {
  try {
    return readFileSync(mark, 'utf8');
  } catch {
    return '';
  }
}
