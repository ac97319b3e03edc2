import { Failure } from '../errors.ts';
import { parseEpoch, type Epoch } from '../rules/epoch.ts';
import { isDigest, isStream } from '../rules/manifest.ts';
import { isOrderId } from '../rules/order.ts';
import { parseServerWords, type ServerOptions } from '../rules/push-options.ts';
import { takeSignature, type RequestSignature } from '../rules/signed-request.ts';

/** What a peer may ask for: SSH_ORIGINAL_COMMAND, read by a grammar that has no quoting and no second reading. */
export type Request = Asked & { readonly signature?: RequestSignature };

type Asked =
  | { readonly verb: 'hello' | 'status' | 'message' | 'confirm'; readonly nonce: string }
  | { readonly verb: 'reply'; readonly id: string; readonly nonce: string; readonly waitSeconds: number }
  | { readonly verb: 'export'; readonly stream: string; readonly nonce: string }
  | {
      readonly verb: 'receipts';
      readonly stream: string;
      readonly since: number;
      readonly nonce: string;
      readonly waitSeconds: number;
    }
  | {
      readonly verb: 'push';
      readonly stream: string;
      readonly epoch: Epoch;
      readonly sequence: number;
      readonly digest: string;
      readonly nonce: string;
      readonly options: ServerOptions;
    };

const noncePattern = /^[0-9a-f]{16,64}$/;
const numberPattern = /^(0|[1-9]\d{0,14})$/;

export function parseRequest(text: string | undefined): Request {
  if (text === undefined || text === '') throw refuse('no request: this key is for pe-failover alone');
  if (text.length > 1024 || !/^[\x20-\x7e]+$/.test(text)) throw refuse('too long, or not printable');
  const all = text.split(' ');
  const signed = takeSignature(all, all[0] === 'push' ? wordsOfPush : undefined);
  if (signed === undefined) throw refuse('its signature is malformed, or not in its place');
  const { signature } = signed;
  return { ...parseWords(signed.words), ...(signature === undefined ? {} : { signature }) };
}

/** `push` to NONCE. */
const wordsOfPush = 6;

function parseWords([verb, ...words]: readonly string[]): Asked {
  switch (verb) {
    case 'hello':
    case 'status':
    case 'message':
    case 'confirm':
      return { verb, nonce: parseNonce(words, 1) };
    case 'receipts':
      return parseReceipts(words);
    case 'reply':
      return parseReply(words);
    case 'push':
      return parsePush(words);
    case 'export':
      return parseExport(words);
    default:
      throw refuse('unknown verb');
  }
}

function parseExport([stream, ...words]: readonly string[]): Asked {
  if (stream === undefined || !isStream(stream)) throw refuse('export STREAM NONCE');
  return { verb: 'export', stream, nonce: parseNonce(words, 1) };
}

function parseReply([id, ...words]: readonly string[]): Asked {
  if (id === undefined || !isOrderId(id) || words.length > 2) throw refuse('reply ID NONCE [WAIT]');
  return { verb: 'reply', id, nonce: parseNonce(words.slice(0, 1), 1), waitSeconds: parseWait(words[1]) };
}

function parseReceipts(words: readonly string[]): Asked {
  const [stream, since, , wait] = words;
  const nonce = parseNonce(words.slice(2, 3), 1);
  if (words.length > 4 || stream === undefined || !isStream(stream)) throw refuse('receipts STREAM SINCE NONCE [WAIT]');
  return { verb: 'receipts', stream, since: parseNumber(since, 'SINCE'), nonce, waitSeconds: parseWait(wait) };
}

function parseWait(text: string | undefined): number {
  const seconds = text === undefined ? 0 : parseNumber(text, 'WAIT');
  if (seconds > 30) throw refuse('WAIT is over 30');
  return seconds;
}

function parsePush(words: readonly string[]): Asked {
  const [stream, epochText, sequence, digest] = words;
  const epoch = parseEpoch(epochText ?? '');
  const nonce = parseNonce(words.slice(4, 5), 1);
  const options = parseServerWords(words.slice(5));
  if (stream === undefined || !isStream(stream)) throw refuse('unknown stream');
  if (epoch === undefined) throw refuse('malformed epoch');
  if (digest === undefined || !isDigest(digest)) throw refuse('malformed digest');
  if (options === undefined) throw refuse("rsync's arguments are not those of a push");
  return { verb: 'push', stream, epoch, sequence: parseNumber(sequence, 'SEQUENCE'), digest, nonce, options };
}

function parseNonce(words: readonly string[], count: number): string {
  const nonce = words[0];
  if (words.length !== count || nonce === undefined || !noncePattern.test(nonce)) throw refuse('malformed nonce');
  return nonce;
}

function parseNumber(text: string | undefined, name: string): number {
  if (text === undefined || !numberPattern.test(text)) throw refuse(`malformed ${name}`);
  return Number(text);
}

const refuse = (why: string): Failure => new Failure('refused', 'request refused', { why });
