import { closeSync } from 'node:fs';
import { Failure, toFailure } from '../errors.ts';
import type { PushPoint, Receiver } from '../receiver/gate.ts';
import { receive } from '../receiver/receive.ts';
import { isCertname } from '../rules/pairing.ts';
import { pathsFor } from '../rules/paths.ts';

/** The forced command of the transfer user: makes its own few tools, because it must start in milliseconds. */
export async function runReceive(args: readonly string[], progress?: (point: PushPoint) => void): Promise<number> {
  process.umask(0o077);
  try {
    const { peer, root, helloOnly, login } = parseArguments(args);
    const command = process.env['SSH_ORIGINAL_COMMAND'];
    const { inbox, gate, hello, status, receipts, madeHere, replies, fact, machineId } = pathsFor(root, '');
    const receiver: Receiver = {
      peer,
      helloOnly,
      ...(login === undefined ? {} : { login }),
      paths: { inbox, gate, hello, status, receipts, madeHere, replies, fact, machineId },
      admitted: leavePlace,
      stdin: process.stdin,
      stdout: (line) => process.stdout.write(`${line}\n`),
      stderr: (line) => process.stderr.write(`${line}\n`),
      ...(progress === undefined ? {} : { progress }),
    };
    return await receive(receiver, command);
  } catch (error) {
    const failure = toFailure(error);
    process.stderr.write(`${failure.message}\n`);
    return failure.exitCode;
  }
}

/** The launcher took it: one of the few for callers of whom nothing is known yet. */
function leavePlace(): void {
  const place = process.env['PE_FAILOVER_PLACE'];
  if (place !== undefined) closeSync(Number(place));
}

// Written into authorized_keys by root: nothing of it comes from the caller.
function parseArguments(args: readonly string[]): Pick<Receiver, 'peer' | 'helloOnly' | 'login'> & { root: string } {
  const value = (name: string): string | undefined => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
  const peer = value('--peer');
  const root = value('--root') ?? '/';
  if (peer === undefined || !isCertname(peer) || !root.startsWith('/')) {
    throw new Failure('usage', 'receive is the forced command of a key in authorized_keys', {
      hint: 'Type: pe-failover install',
    });
  }
  const login = value('--login');
  return { peer, root, helloOnly: args.includes('--hello-only'), ...(login === undefined ? {} : { login }) };
}
