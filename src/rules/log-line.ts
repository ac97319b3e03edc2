import { firstBytes } from './first-bytes.ts';

/** The three words that admins grep for. */
export type Status = 'SUCCESS' | 'WARNING' | 'FAILURE';

/** Syslog priorities as numbers: user.info, user.warning, user.err. */
const priorities: Readonly<Record<Status, number>> = { SUCCESS: 14, WARNING: 12, FAILURE: 11 };

/** What logger(1) is told by `--size`, and where a line is cut: in bytes, without the priority. */
export const maxLineBytes = 8192;
const cut = ' ...';

/** `PE_FAILOVER: restore_dbs.sh ---> [SUCCESS] text` for the job restore-dbs: always one line, at most 8 kB, whole characters. */
export function logLine(job: string, status: Status, text: string): string {
  return shorten(`PE_FAILOVER: ${printable(job.replaceAll('-', '_'))}.sh ---> [${status}] ${printable(text)}`);
}

/** The line as `logger --prio-prefix` takes it, without its newline. */
export const withPriority = (status: Status, line: string): string => `<${priorities[status]}>${line}`;

// Also what reorders or ends a line in a terminal or an editor: a name from outside must not forge a line.
// eslint-disable-next-line no-control-regex
const unprintable = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
const short: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** One line of text that a terminal shows as it is: names in it may come from anywhere. */
export function printable(text: string): string {
  return text.toWellFormed().replace(unprintable, (char) => {
    const code = char.charCodeAt(0);
    return short[char] ?? (code < 0x100 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`);
  });
}

const hex = (code: number, digits: number): string => code.toString(16).padStart(digits, '0');

const shorten = (line: string): string =>
  Buffer.byteLength(line) <= maxLineBytes ? line : firstBytes(line, maxLineBytes - cut.length) + cut;
