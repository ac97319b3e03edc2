import { afterAll, beforeAll, describe, it } from 'vitest';
import { startGateBench, type GateBench } from '../helpers/gate-bench.ts';
import { nonce, pushWords, serverWords, signed } from '../helpers/thief.ts';

let bench: GateBench;
beforeAll(async () => {
  bench = await startGateBench();
});
afterAll(() => bench[Symbol.asyncDispose]());

/** By the thief of the key, and with the signature of the active's root. */
const askedByBoth = (words: string, rest = ''): string[] => [`${words}${rest}`, `${signed(bench.pair, words)}${rest}`];

const other = 'cd'.repeat(16);
const words: Readonly<Record<string, readonly [string, string, string][]>> = {
  'its verb': [
    ['no verb, but a blank', ' ', 'unknown verb'],
    ['a verb in capitals', `HELLO ${nonce}`, 'unknown verb'],
    ['a blank before the verb', ` hello ${nonce}`, 'unknown verb'],
    ['a verb that grew', `hello2 ${nonce}`, 'unknown verb'],
    ['a verb of every object', `constructor ${nonce}`, 'unknown verb'],
    ['a path for a verb', `/bin/sh -c id`, 'unknown verb'],
    ['an assignment before the verb', `SSH_ORIGINAL_COMMAND=x hello ${nonce}`, 'unknown verb'],
    ['a command in quotes', `"hello" ${nonce}`, 'unknown verb'],
    ['a command in a substitution', `$(hello) ${nonce}`, 'unknown verb'],
  ],
  'its nonce': [
    ['no nonce', 'hello', 'malformed nonce'],
    ['a nonce too short', 'hello abcdef', 'malformed nonce'],
    ['a nonce too long', `hello ${'a'.repeat(65)}`, 'malformed nonce'],
    ['a nonce in capitals', `status ${nonce.toUpperCase()}`, 'malformed nonce'],
    ['two nonces', `status ${nonce} ${other}`, 'malformed nonce'],
    ['a blank behind the nonce', `status ${nonce} `, 'malformed nonce'],
    ['two blanks before the nonce', `status  ${nonce}`, 'malformed nonce'],
    ['a command behind the nonce', `status ${nonce};id`, 'malformed nonce'],
    ['a pipe behind the nonce', `status ${nonce} | id`, 'malformed nonce'],
    ['a redirection behind the nonce', `status ${nonce} >/tmp/pe-failover-hostile`, 'malformed nonce'],
    ['a pattern for a nonce', 'status [0-9a-f]*', 'malformed nonce'],
    ['an option of the gate', `status ${nonce} --peer other.test`, 'malformed nonce'],
  ],
  'its characters': [
    ['a tab', `hello\t${nonce}`, 'not printable'],
    ['a line more', `hello ${nonce}\nstatus ${nonce}`, 'not printable'],
    ['a carriage return', `hello ${nonce}\r`, 'not printable'],
    ['a sequence for the terminal', `hello ${nonce}\u001b[2J`, 'not printable'],
    ['a bell and a backspace', `hello ${nonce}\u0007\b`, 'not printable'],
    ['digits of another script', `hello ${'ａ'.repeat(16)}`, 'not printable'],
    ['a blank that does not break', `hello\u00a0${nonce}`, 'not printable'],
    ['text that is turned round', `hello \u202e${nonce}`, 'not printable'],
    ['a letter without width', `hel\u200blo ${nonce}`, 'not printable'],
    ['a line separator', `hello ${nonce}\u2028id`, 'not printable'],
    ['2,000 characters', `hello ${'a'.repeat(2000)}`, 'too long'],
    ['100,000 characters', `hello ${'a'.repeat(100_000)}`, 'too long'],
    ['400 words', `hello ${'a '.repeat(400)}`, 'malformed nonce'],
  ],
  'its stream': [
    ['receipts of nothing', 'receipts', 'malformed nonce'],
    ['receipts of a stream upwards', `receipts sync-certs/../../gate 0 ${nonce}`, 'receipts STREAM SINCE'],
    ['receipts of a stream in capitals', `receipts SYNC-CERTS 0 ${nonce}`, 'receipts STREAM SINCE'],
    ['receipts of a database without a name', `receipts db-dump. 0 ${nonce}`, 'receipts STREAM SINCE'],
    [
      'receipts of a database with a long name',
      `receipts db-dump.${'a'.repeat(41)} 0 ${nonce}`,
      'receipts STREAM SINCE',
    ],
    ['an export of a path', `export ../made-here ${nonce}`, 'export STREAM NONCE'],
    ['an export of a pattern', `export sync-* ${nonce}`, 'export STREAM NONCE'],
  ],
  'its numbers': [
    ['receipts since before the first', `receipts sync-certs -1 ${nonce}`, 'malformed SINCE'],
    ['receipts since a power', `receipts sync-certs 1e3 ${nonce}`, 'malformed SINCE'],
    ['receipts since beyond 2^53', `receipts sync-certs 9007199254740993 ${nonce}`, 'malformed SINCE'],
    ['receipts since an octal number', `receipts sync-certs 010 ${nonce}`, 'malformed SINCE'],
    ['receipts waited for without end', `receipts sync-certs 0 ${nonce} 31`, 'WAIT is over 30'],
    ['receipts waited for backwards', `receipts sync-certs 0 ${nonce} -1`, 'malformed WAIT'],
    ['receipts with a word more', `receipts sync-certs 0 ${nonce} 1 1`, 'receipts STREAM SINCE'],
  ],
};

describe.each(Object.entries(words))('a request with something wrong in %s', (_, table) => {
  it.each(table)('%s is refused, whoever signed it', async (_name, request, sentence) => {
    await bench.refuses(askedByBoth(request), sentence);
  });
  it('keeps out no honest drop', () => bench.expectHonest());
});

const push = pushWords({ number: 1, id: 'a'.repeat(16) }, 1);
const put = (from: string | RegExp, to: string): [string, string] => [push.replace(from, to), ` ${serverWords}`];
const pushes: [string, [string, string], string][] = [
  ['an epoch below zero', put('1.a', '-1.a'), 'malformed epoch'],
  ['an epoch beyond 2^53', put('1.a', '99999999999999999999.a'), 'malformed epoch'],
  ['an epoch of half an id', put('a'.repeat(16), 'aaaa'), 'malformed epoch'],
  ['an epoch whose id has capitals', put('a'.repeat(16), 'A'.repeat(16)), 'malformed epoch'],
  ['a sequence below zero', put(' 1 sha', ' -1 sha'), 'malformed SEQUENCE'],
  ['a broken sequence', put(' 1 sha', ' 1.5 sha'), 'malformed SEQUENCE'],
  ['a sequence that is a path', put(' 1 sha', ' ../1 sha'), 'malformed SEQUENCE'],
  ['a digest of another kind', put('sha256:', 'md5:'), 'malformed digest'],
  ['a digest too short', put('0'.repeat(64), '0'.repeat(63)), 'malformed digest'],
  ['a stream upwards', put('sync-files', '../sync-files'), 'unknown stream'],
  ['a stream of nobody', put('sync-files', 'sync-keys'), 'unknown stream'],
  ['no words of rsync', [push, ''], "rsync's arguments are not those of a push"],
];

describe('a push', () => {
  it.each(pushes)('with %s is refused, whoever signed it', async (_, [request, rest], sentence) => {
    await bench.refuses(askedByBoth(request, rest), sentence);
  });
  it('that is refused keeps out no honest drop', () => bench.expectHonest());
});

const server = (more: string): string => serverWords.replace('--inplace', `--inplace ${more}`);
const to = (target: string): string => serverWords.replace(/\. \.$/, target);
const letters = (flags: string): string => serverWords.replace(/-rIe\.\S+/, flags);
const rsyncs: Readonly<Record<string, readonly [string, string][]>> = {
  'to read instead of to write': [
    ['the sending side', serverWords.replace('--server', '--server --sender')],
    ['a daemon', serverWords.replace('--server', '--server --daemon')],
    ['a daemon with a configuration', server('--config=/tmp/rsyncd.conf')],
    ['a list of what to read', server('--files-from=/etc/shadow')],
    ['a list of what to read, of the caller', server('--files-from=:/etc/shadow')],
    ['removing what was read', server('--remove-source-files')],
    ['a list only', server('--list-only')],
  ],
  'to run something': [
    ['another shell', server('--rsh=/bin/sh')],
    ['a command for -e', letters('-rIe.id;id')],
    ['a path for -e', letters('-rIe/bin/sh')],
    ['a command behind the letters', letters('-rIe.Lsf$(id)')],
    ['another rsync', server('--rsync-path=/bin/sh')],
    ['an option for the other side', server('-M--sender')],
    ['a filter from a file', server('--filter=._/etc/shadow')],
    ['a library', server('--iconv=/tmp/x.so')],
  ],
  'to write elsewhere': [
    ['a log file', server('--log-file=/etc/cron.d/pe-failover-hostile')],
    ['a directory for what is half there', server('--partial-dir=/etc')],
    ['a directory for temporary files', server('--temp-dir=/etc')],
    ['a directory for what is replaced', server('--backup --backup-dir=/etc')],
    ['a suffix for what is replaced', server('--backup --suffix=/../../x')],
    ['a batch', server('--write-batch=/etc/pe-failover-hostile')],
    ['an absolute path', to('. /etc')],
    ['a path upwards', to('. ../ready')],
    ["somebody's home", to('. ~root')],
    ['two paths', to('. . /etc')],
    ['no path', to('.')],
    ['a command for a path', to('. $(id)')],
    ['a pattern for a path', to('. *')],
    ['an empty word', to('.  .')],
  ],
  'to take files of the spare into a drop': [
    ['links to files elsewhere', server('--link-dest=/etc')],
    ['copies of files elsewhere', server('--copy-dest=/etc')],
    ['copies of files upwards', server('--copy-dest ../../../state')],
    ['comparing with files elsewhere', server('--compare-dest=/etc')],
    ['two directories of copies', server('-B700 --copy-dest ../basis --copy-dest /etc')],
  ],
  'to make other things than files': [
    ['devices', letters('-rIDe.LsfxCIvu')],
    ['writing to devices', server('--write-devices')],
    ['copying devices', server('--copy-devices')],
    ['links', letters('-rIle.LsfxCIvu')],
    ['following links', letters('-rILe.LsfxCIvu')],
    ['keeping links to directories', letters('-rIKe.LsfxCIvu')],
    ['copying links to directories', letters('-rIke.LsfxCIvu')],
    ['hard links', letters('-rIHe.LsfxCIvu')],
    ['owners and modes', letters('-rIogpe.LsfxCIvu')],
    ['a set-id mode', server('--chmod=u+s')],
    ['acting as a superuser', server('--super')],
    ['files with holes', server('--sparse')],
  ],
  'to be in the way': [
    ['no limit of time', serverWords.replace('--timeout=30', '--timeout=0')],
    ['two limits of bandwidth', server('--bwlimit=1 --bwlimit=1')],
    ['a limit of bandwidth that is a word', server('--bwlimit=$(id)')],
    ['small blocks without a basis', server('-B1')],
    ['an old protocol', server('--protocol=20')],
    ['letters twice', letters('-rIe.LLLL')],
    ['21 letters', letters(`-rIe.${'abcdefghijklmnopqrstu'}`)],
    ['--server twice', `--server ${serverWords}`],
    ['--server missing', serverWords.replace('--server ', '')],
  ],
};

describe.each(Object.entries(rsyncs))('words of rsync %s', (_, table) => {
  it.each(table)('%s: refused, whoever signed it', async (_name, rest) => {
    await bench.refuses(askedByBoth(push, ` ${rest}`), "rsync's arguments are not those of a push");
  });
  it('keep out no honest drop', () => bench.expectHonest());
});
