import { appendFile } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { createLogger, format, transports, type Logger } from 'winston';
import { toFailure, type Failure } from '../errors.ts';
import { logLine, withPriority, type Status } from '../rules/log-line.ts';
import { failed, recovered, type Trouble } from '../rules/repeats.ts';
import type { Clock } from './clock.ts';
import { loggerCommand, Syslog } from './syslog.ts';

export interface JobLog {
  success(message: string): void;
  warning(message: string): void;
  failure(message: string): void;
}

/** One line of events.jsonl; `at` is added. */
export interface LogEvent {
  readonly job: string;
  readonly run: string;
  readonly event: 'start' | 'finished' | 'error';
  readonly ok?: boolean;
  readonly elapsed_ms?: number;
  readonly why?: string;
  /** NUMBER.ID */
  readonly epoch?: string;
  readonly sequence?: number;
  readonly detail?: Readonly<Record<string, unknown>>;
}

export interface Log {
  /** Lines as they are said; `agent`, `receive` and `install` count as jobs here. */
  forJob(job: string): JobLog;
  /** A pass failed: said once per class and cause until the job works again, repeated every 6 h. */
  failed(job: string, failure: Failure): void;
  /** A pass succeeded: said when the job was in trouble before. */
  worked(job: string): void;
  event(event: LogEvent): void;
  /** From now on, each FAILURE that is said, and each word that a job works again. */
  hear(listener: (word: HeardWord) => void): void;
  close(): Promise<void>;
}

export interface HeardWord {
  readonly kind: 'failure' | 'recovered';
  readonly job: string;
  /** Of the line. */
  readonly text: string;
}

export interface LogOptions {
  readonly clock: Pick<Clock, 'now' | 'monotonic'>;
  /** Default: logger(1) with the tag pe-failover. Lines come with their priority, `<14>...`. */
  readonly logger?: readonly string[];
  /** The JSONL file; its directory must exist. Without it no events are kept. */
  readonly eventsFile?: string;
  /** Where a person looks: the same lines, without priority. */
  readonly stderr?: Writable;
}

const levels = { FAILURE: 0, WARNING: 1, SUCCESS: 2, event: 3 } as const;
const maxEventBacklog = 16 * 1024 * 1024;

/** The one log of a process. Nothing starts before the first line; `close` hands on what is queued. */
export function createLog(options: LogOptions): Log {
  const { clock } = options;
  const lostLine = (count: number): string =>
    withPriority('WARNING', logLine('agent', 'WARNING', `${count} log lines were lost: no logger took them`));
  const syslog = new Syslog({ command: options.logger ?? loggerCommand, maxQueue: 1000, lostLine });
  const winston = createLogger({ levels, level: 'event', format: format.simple() });
  winston.add(
    lineTransport(
      sink((line) => syslog.write(line)),
      withPriority,
    ),
  );
  if (options.stderr !== undefined) winston.add(lineTransport(options.stderr, (_status, line) => `${line}\n`));
  let heard: (word: HeardWord) => void = () => undefined;
  const say = (job: string, status: Status, text: string): void => {
    winston.log(status, logLine(job, status, text), { status });
    if (status === 'FAILURE') heard({ kind: 'failure', job, text });
  };
  const troubles = createTroubles(say, (word) => heard(word), clock);
  const forJob = (job: string): JobLog => ({
    success: (text) => say(job, 'SUCCESS', text),
    warning: (text) => say(job, 'WARNING', text),
    failure: (text) => say(job, 'FAILURE', text),
  });
  const events = options.eventsFile === undefined ? undefined : appending(options.eventsFile, forJob('agent'));
  if (events !== undefined) winston.add(eventTransport(events));
  let closed: Promise<void> | undefined;
  return {
    ...troubles,
    forJob,
    hear: (listener) => void (heard = listener),
    event: (event) => {
      if ((events?.writableLength ?? 0) > maxEventBacklog) return; // a disk that hangs must not eat the memory
      winston.log('event', '', { record: { at: clock.now().toISOString(), ...event } });
    },
    close: () => (closed ??= ended(winston, events).then(() => syslog.close())),
  };
}

function createTroubles(
  say: (job: string, status: Status, text: string) => void,
  heard: (word: HeardWord) => void,
  clock: LogOptions['clock'],
): Pick<Log, 'failed' | 'worked'> {
  const troubles = new Map<string, Trouble>();
  return {
    failed: (job, failure) => {
      const told = { class: failure.class, cause: failure.message, where: failure.where };
      const heard = failed(troubles.get(job), told, clock.monotonic());
      troubles.set(job, heard.trouble);
      if (heard.say !== undefined) say(job, 'FAILURE', failure.message + heard.say);
    },
    worked: (job) => {
      const text = recovered(troubles.get(job), clock.monotonic());
      troubles.delete(job);
      if (text === undefined) return;
      say(job, 'SUCCESS', text);
      heard({ kind: 'recovered', job, text });
    },
  };
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

function lineTransport(stream: Writable, dress: (status: Status, line: string) => string) {
  const text = format.printf((info) => dress(info['status'] as Status, String(info.message)));
  const only = format((info) => (info['status'] === undefined ? false : info));
  return new transports.Stream({ stream, eol: '', level: 'SUCCESS', format: format.combine(only(), text) });
}

function eventTransport(stream: Writable) {
  const text = format.printf((info) => `${JSON.stringify(info['record'])}\n`);
  const only = format((info) => (isRecord(info['record']) ? info : false));
  return new transports.Stream({ stream, eol: '', format: format.combine(only(), text) });
}

const sink = (take: (line: string) => void): Writable =>
  new Writable({
    decodeStrings: false,
    write: (line: string, _encoding, done) => {
      take(line);
      done();
    },
  });

// Opened anew for each line, so that a rotated or removed file is followed. A full disk costs events, never a pass.
function appending(path: string, log: JobLog): Writable {
  let losing = false;
  const append = async (line: string): Promise<void> => {
    try {
      await appendFile(path, line, { mode: 0o600 });
      if (losing) log.success(`Events are written to ${path} again`);
      losing = false;
    } catch (error) {
      if (!losing) log.failure(`Events cannot be written to ${path}: ${toFailure(error).why ?? 'no cause given'}`);
      losing = true;
    }
  };
  return new Writable({
    decodeStrings: false,
    write: (line: string, _encoding, done) => void append(line).then(() => done()),
  });
}

async function ended(...streams: readonly (Writable | Logger | undefined)[]): Promise<void> {
  for (const stream of streams) await new Promise<void>((resolve) => (stream ? stream.end(resolve) : resolve()));
}
