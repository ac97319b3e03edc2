/** The three words that admins grep for. */
export type Status = 'SUCCESS' | 'WARNING' | 'FAILURE';

/** Syslog priorities as numbers: user.info, user.warning, user.err. */
const priorities: Readonly<Record<Status, number>> = { SUCCESS: 14, WARNING: 12, FAILURE: 11 };

/** What logger(1) is told by `--size`, and where a line is cut: in bytes, without the priority. */
export const maxLineBytes = 8192;
const cut = ' ...';

/** `PE_FAILOVER: restore_dbs.sh ---> [SUCCESS] text` for the job restore-dbs: always one line, at most 8 kB, whole characters. */
export function logLine(job: string, status: Status, text: string): string {
  return shorten(`PE_FAILOVER: ${escape(job.replaceAll('-', '_'))}.sh ---> [${status}] ${escape(text)}`);
}

/** The line as `logger --prio-prefix` takes it, without its newline. */
export const withPriority = (status: Status, line: string): string => `<${priorities[status]}>${line}`;

// Also what reorders or ends a line in a terminal or an editor: a name from outside must not forge a line.
// eslint-disable-next-line no-control-regex
const unprintable = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
const short: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escape(text: string): string {
  return text.toWellFormed().replace(unprintable, (char) => {
    const code = char.charCodeAt(0);
    return short[char] ?? (code < 0x100 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`);
  });
}

const hex = (code: number, digits: number): string => code.toString(16).padStart(digits, '0');

function shorten(line: string): string {
  const bytes = Buffer.from(line);
  if (bytes.length <= maxLineBytes) return line;
  let end = maxLineBytes - cut.length;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1; // not in the middle of a character
  return bytes.toString('utf8', 0, end) + cut;
}
