import { holdWords, type HoldWords } from './hold-words.ts';
import { printable } from './log-line.ts';
import { counted, spokenDuration } from './spoken.ts';

/** What an admin reads of a hold. */
export interface ShownHold {
  readonly id: string;
  /** Perhaps of another version of this program, which has words of its own. */
  readonly rule: string;
  readonly stream: string;
  readonly sentence: string;
  readonly difference: readonly string[];
  /** ISO 8601. */
  readonly raisedAt: string;
  readonly decision: 'open' | 'released' | 'discarded';
}

const width = 80;
const shownLines = 20;

/** All holds, for a terminal of 80 columns: names in them may be long, and are not cut. `whereOf`: the file with all of a hold. */
export function holdsText(holds: readonly ShownHold[], now: Date, whereOf: (id: string) => string): string {
  if (holds.length === 0) return 'Nothing is held.';
  const open = holds.filter(({ decision }) => decision === 'open').length;
  const first = `${counted(open, 'hold waits', 'holds wait')} for your decision.`;
  return [first, ...holds.map((hold) => holdText(hold, now, whereOf(hold.id)))].join('\n\n');
}

function holdText({ id, rule, stream, sentence, difference, ...hold }: ShownHold, now: Date, where: string): string {
  const words = new Map<string, HoldWords>(Object.entries(holdWords)).get(rule);
  const more = difference.length - shownLines;
  const paragraphs = [
    [`${id}  ${rule}, of ${stream}`, `  ${state(hold, now)}`],
    wrapped(`${sentence}${/[.?!]$/.test(sentence) ? '' : '.'}`, '  '),
    [
      ...difference.slice(0, shownLines).flatMap((line) => wrapped(line, '    ', '      ')),
      ...(more > 0 ? [`    ... and ${more} more, all of them in ${where}`] : []),
    ],
    words === undefined
      ? []
      : [...wrapped(`Held: ${words.held}.`, '  ', '    '), ...wrapped(`Live: ${words.live}.`, '  ', '    ')],
    ...choices(id, words, hold.decision),
  ];
  return paragraphs
    .filter((lines) => lines.length > 0)
    .flatMap((lines) => lines.join('\n'))
    .join('\n\n');
}

function state({ raisedAt, decision }: Pick<ShownHold, 'raisedAt' | 'decision'>, now: Date): string {
  const lasting = spokenDuration(now.getTime() - Date.parse(raisedAt));
  const since = `since ${raisedAt.slice(0, 16).replace('T', ' ')} UTC, that is for ${lasting}`;
  if (decision === 'open') return `open ${since}`;
  return decision === 'released' ? `released, and done at the next pass; held ${since}` : `discarded; held ${since}`;
}

function choices(id: string, words: HoldWords | undefined, decision: ShownHold['decision']): string[][] {
  const said = (verb: 'release' | 'discard', to: string): string[] => [
    `  ${to.padEnd(21)} pe-failover ${verb} ${id}`,
    ...(words === undefined ? [] : wrapped(`Then ${words[verb]}.`, '    ')),
  ];
  return [
    ...(decision === 'released' ? [] : [said('release', 'To let it through:')]),
    ...(decision === 'discarded' ? [] : [said('discard', 'To keep what is here:')]),
  ];
}

/** Whole words: a name or an id that is longer than a line is one to copy. */
function wrapped(text: string, indent: string, further = indent): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of printable(text).split(' ')) {
    const isFirst = line.trim() === '';
    if (!isFirst && line.length + 1 + word.length > width) {
      lines.push(line);
      line = further + word;
    } else line += isFirst ? word : ` ${word}`;
  }
  return [...lines, line];
}
