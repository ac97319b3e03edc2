import { Failure, type ErrorClass } from '../errors.ts';

/** How a request ended badly: `status` where there was an answer, `kind` of its error envelope or of the transport. */
export class HttpError extends Error {
  readonly url: string | undefined;
  readonly status: number | undefined;
  readonly kind: string;
  readonly msg: string;

  constructor(end: { url?: string; status?: number; kind: string; msg: string; cause?: unknown }) {
    super(end.msg, end.cause === undefined ? {} : { cause: end.cause });
    this.name = 'HttpError';
    this.url = end.url;
    this.status = end.status;
    this.kind = end.kind;
    this.msg = end.msg;
  }

  /** From an answer that is not one of those asked for; Puppet's services explain it as {kind, msg, details}. */
  static fromAnswer(url: string, answer: { status: number; text: string }): HttpError {
    const { kind, msg } = envelope(answer.text);
    return new HttpError({
      url,
      status: answer.status,
      kind: kind ?? 'no-envelope',
      msg: msg ?? `status ${answer.status}`,
    });
  }

  static from(error: unknown, url: string): HttpError {
    if (error instanceof HttpError) return error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    const msg = error instanceof Error && error.message !== '' ? error.message : code;
    return new HttpError({ url, kind: code, msg, cause: error });
  }

  /** The class says what happens next; `whenDenied` is what to type after 401 or 403. */
  toFailure(what: string, whenDenied?: string): Failure {
    const [errorClass, hint] = this.status === undefined ? transport(this.kind) : answered(this.status, whenDenied);
    const status = this.status === undefined ? '' : ` (status ${this.status}, ${this.kind})`;
    return new Failure(errorClass, what, {
      why: `${this.msg}${status}`,
      cause: this,
      ...(this.url === undefined ? {} : { where: withoutQuery(this.url) }),
      ...(hint === undefined ? {} : { hint }),
    });
  }
}

/** The status of the answer behind a Failure of the HTTP client, or undefined. */
export const statusOf = (error: unknown): number | undefined =>
  error instanceof Failure && error.cause instanceof HttpError ? error.cause.status : undefined;

type Next = readonly [ErrorClass, string?];

const denied = "Let our certificate's name into the service's allowlist, or renew the token file";

function answered(status: number, whenDenied: string | undefined): Next {
  switch (status) {
    case 400:
    case 409:
    case 413:
    case 422:
      return ['bad-data'];
    case 401:
    case 403:
      return ['config', whenDenied ?? denied];
    case 404:
    case 405:
      return ['config', 'Check the URL of the service in pe_failover.yaml'];
    default:
      return ['dependency'];
  }
}

const lost = [
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'connect-timeout',
];

function transport(kind: string): Next {
  if (lost.includes(kind)) return ['unreachable'];
  if (kind === 'ENOTFOUND' || kind === 'ERR_INVALID_URL' || kind === 'ERR_INVALID_PROTOCOL')
    return ['config', 'Check the host name in the URL of the service'];
  if (kind === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return ['config', "Use a name that stands in the server's certificate, or set the expected one"];
  if (/^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_|CRL_|HOSTNAME_)/.test(kind))
    return ['config', "Check the CA file and the server's certificate: openssl s_client -connect HOST:PORT -CAfile CA"];
  if (/^(ERR_OSSL_|ERR_SSL_|EPROTO)/.test(kind))
    return [
      'config',
      'Check our certificate, its key and the CA that signed it: openssl x509 -noout -subject -enddate',
    ];
  return ['dependency'];
}

function envelope(text: string): { kind?: string; msg?: string } {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return {};
    const found = value as Record<string, unknown>;
    return {
      ...(typeof found['kind'] === 'string' ? { kind: printable(found['kind']) } : {}),
      ...(typeof found['msg'] === 'string' ? { msg: printable(found['msg']) } : {}),
    };
  } catch {
    return {}; // a proxy's page, or nothing: the status code tells
  }
}

// eslint-disable-next-line no-control-regex
const printable = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').slice(0, 500);

// A query may carry a token.
const withoutQuery = (url: string): string => url.split('?')[0] ?? url;
