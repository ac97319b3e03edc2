import { execFileSync } from 'node:child_process';
import { mkdtemp, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Failure } from '../../src/errors.ts';
import { systemClock } from '../../src/system/clock.ts';
import { createLog, type Log, type LogOptions } from '../../src/system/log.ts';
import { loggerCommand } from '../../src/system/syslog.ts';
import { openSyslogSocket, type SyslogSocket } from '../helpers/syslog-socket.ts';

let directory: string;
let socketPath: string;
let socket: SyslogSocket;
const logs: Log[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'log-test-'));
  socketPath = join(directory, 'dev-log');
  socket = await openSyslogSocket(socketPath);
});

afterEach(async () => {
  for (const log of logs.splice(0)) await log.close();
  await socket.close();
  await rm(directory, { recursive: true });
});

function open(options: Partial<LogOptions> = {}): Log {
  const log = createLog({ clock: systemClock, logger: [...loggerCommand, '-u', socketPath], ...options });
  logs.push(log);
  return log;
}

async function loggerPids(): Promise<number[]> {
  const found: number[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (line.startsWith('logger\0') && line.includes(socketPath)) found.push(Number(pid));
  }
  return found;
}

describe('the log', () => {
  it('reaches syslog through one logger child, with priority, tag and the words of old', async () => {
    const log = open();
    log.forJob('sync-certs').success('Starting sync of Puppet CA directory to masterb.example.com');
    log.forJob('restore-dbs').failure('two\nlines, übel');
    log.forJob('restore-dbs').warning('w');
    const first = await socket.awaitLine('Starting sync');
    expect(first).toMatch(
      /^<14>.* pe-failover: PE_FAILOVER: sync_certs\.sh ---> \[SUCCESS\] Starting sync of Puppet CA/,
    );
    expect(await socket.awaitLine('[FAILURE]')).toMatch(/^<11>.*\[FAILURE\] two\\nlines, übel$/);
    expect(await socket.awaitLine('[WARNING]')).toMatch(/^<12>/);
    expect(await loggerPids()).toHaveLength(1);
  });

  it('hands on a line of full length whole', async () => {
    open().forJob('nc-dump').success('x'.repeat(9000));
    const line = await socket.awaitLine('xxx');
    expect(line.slice(line.indexOf('PE_FAILOVER'))).toHaveLength(8192);
    expect(line).toMatch(/x \.\.\.$/);
  });

  it('survives loss and return of the socket', async () => {
    const log = open();
    log.forJob('agent').success('before');
    await socket.awaitLine('before');
    await socket.close();
    await rm(socketPath);
    log.forJob('agent').success('while it was away');
    socket = await openSyslogSocket(socketPath);
    log.forJob('agent').success('after');
    await socket.awaitLine('after');
  });

  it('starts the logger again when it was killed, and keeps the lines meanwhile', async () => {
    const log = open();
    log.forJob('agent').success('before');
    await socket.awaitLine('before');
    const [pid] = await loggerPids();
    process.kill(Number(pid), 'SIGKILL');
    while ((await loggerPids()).includes(Number(pid))) await new Promise(setImmediate);
    log.forJob('agent').success('said while no logger ran');
    await socket.awaitLine('said while no logger ran');
    expect(await loggerPids()).not.toContain(pid);
  });

  it('says how many lines were lost when no logger took them', async () => {
    const gate = join(directory, 'gate');
    const script = `test -e ${gate} || exit 1; exec logger --prio-prefix -t pe-failover -u ${socketPath}`;
    const log = open({ logger: ['/bin/sh', '-c', script] });
    for (let n = 0; n < 1500; n += 1) log.forJob('agent').success(`line ${n}.`);
    await mkdir(gate);
    expect(await socket.awaitLine('were lost')).toMatch(/^<12>.*\[WARNING\] \d+ log lines were lost/);
    await socket.awaitLine('line 1499.');
  });

  it('says a failure once until the job works again', async () => {
    const log = open();
    const failure = new Failure('unreachable', 'Failed to sync. Exit code is: 255', { where: 'masterb' });
    for (let n = 0; n < 3; n += 1) log.failed('sync-certs', failure);
    log.worked('sync-certs');
    log.worked('sync-certs');
    log.forJob('agent').success('the end');
    await socket.awaitLine('the end');
    expect(socket.lines.filter((line) => line.includes('sync_certs')).map((line) => line.split('---> ')[1])).toEqual([
      '[FAILURE] Failed to sync. Exit code is: 255 (masterb)',
      expect.stringMatching(/^\[SUCCESS\] works again after 0 s and 3 failures$/),
    ]);
  });

  it('shows the same lines to a person, and hands all on before it closes', async () => {
    const seen: string[] = [];
    const stderr = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        seen.push(chunk.toString());
        done();
      },
    });
    const log = open({ stderr });
    for (let n = 0; n < 300; n += 1) log.forJob('agent').success(`line ${n}.`);
    await log.close();
    expect(seen).toHaveLength(300);
    expect(seen[0]).toBe('PE_FAILOVER: agent.sh ---> [SUCCESS] line 0.\n');
    await socket.awaitLine('line 299.');
    expect(await loggerPids()).toEqual([]);
  });

  it('ends though the logger neither reads nor ends', async () => {
    const log = open({ logger: ['/bin/sleep', '1000'] });
    for (let n = 0; n < 900; n += 1) log.forJob('agent').success('x'.repeat(1000));
    await log.close();
  });
});

describe('events.jsonl', () => {
  it('holds one JSON object a line and follows a rotation', async () => {
    const eventsFile = join(directory, 'events.jsonl');
    const log = open({ eventsFile, clock: { ...systemClock, now: () => new Date('2026-11-21T00:00:00Z') } });
    log.event({ job: 'sync-certs', run: 'r1', event: 'start' });
    await lineIn(eventsFile, 'start');
    await rename(eventsFile, `${eventsFile}.1`);
    log.event({ job: 'sync-certs', run: 'r1', event: 'finished', ok: true, elapsed_ms: 12, why: 'a\nb' });
    await log.close();
    expect(JSON.parse(await readFile(`${eventsFile}.1`, 'utf8'))).toEqual({
      at: '2026-11-21T00:00:00.000Z',
      job: 'sync-certs',
      run: 'r1',
      event: 'start',
    });
    const second = await readFile(eventsFile, 'utf8');
    expect(second.trimEnd().split('\n')).toHaveLength(1);
    expect(JSON.parse(second)).toMatchObject({ event: 'finished', ok: true, elapsed_ms: 12, why: 'a\nb' });
    expect(execFileSync('stat', ['-c', '%a', eventsFile]).toString().trim()).toBe('600');
  });

  it('that cannot be written costs one FAILURE, and no pass', async () => {
    const eventsFile = join(directory, 'missing', 'events.jsonl');
    const log = open({ eventsFile });
    log.event({ job: 'nc-dump', run: 'r1', event: 'start' });
    log.event({ job: 'nc-dump', run: 'r1', event: 'error' });
    await socket.awaitLine('Events cannot be written');
    await mkdir(join(directory, 'missing'));
    log.event({ job: 'nc-dump', run: 'r2', event: 'start' });
    await socket.awaitLine('are written');
    expect(socket.lines.filter((line) => line.includes('cannot be written'))).toHaveLength(1);
  });
});

async function lineIn(path: string, text: string): Promise<void> {
  while (!(await readFile(path, 'utf8').catch(() => '')).includes(text)) await new Promise(setImmediate);
}
