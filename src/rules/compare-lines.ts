import type { Comparison } from './compare.ts';
import { printable } from './log-line.ts';

const width = 80;
const marks = { critical: 'CRITICAL', warning: 'WARNING', note: 'note' } as const;

/** A comparison as a person reads it, within 80 columns as far as its words allow. */
export function comparisonLines({ text, differences, equal }: Comparison): string[] {
  const lines = wrapped(text, '', '');
  let told = '';
  for (const { component, severity, says, fix } of differences) {
    if (component !== told) lines.push('', component);
    told = component;
    lines.push(...wrapped(says, `  ${marks[severity].padEnd(9)}`, ' '.repeat(11)));
    if (fix !== undefined) lines.push(...wrapped(fix, `${' '.repeat(9)}> `, ' '.repeat(11)));
  }
  if (equal.length > 0)
    lines.push(
      '',
      ...wrapped(`${differences.length === 0 ? 'Equal' : 'Everything else is equal'}: ${equal.join('; ')}.`, '', ''),
    );
  return lines;
}

/** Names in it come from the other master. */
function wrapped(said: string, first: string, rest: string): string[] {
  const lines: string[] = [];
  let line = first;
  let isEmpty = true;
  for (const word of printable(said).split(' ')) {
    if (!isEmpty && line.length + 1 + word.length > width) {
      lines.push(line);
      [line, isEmpty] = [rest, true];
    }
    line += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return [...lines, line];
}
