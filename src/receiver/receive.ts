import { toFailure } from '../errors.ts';
import { StaleLogin } from '../rules/gate.ts';
import { namingDisk } from '../system/file-systems.ts';
import { admit } from './admission.ts';
import { hello, keepConfirm, keepMessage, madeHere, receiptsSince, replyTo, status, type Answer } from './answers.ts';
import { refuseCopy, refuseOldLogin, type Receiver } from './gate.ts';
import { takePush } from './push.ts';
import { parseRequest, type Request } from './request.ts';

/**
 * Answers one request of the peer and gives the exit code. The answer is ONE line of JSON with the caller's nonce, on
 * standard output (of a push: on standard error, because rsync speaks on the other).
 */
export async function receive(receiver: Receiver, command: string | undefined): Promise<number> {
  let request: Request | undefined;
  try {
    request = parseRequest(command);
    await refuseCopy(receiver);
    await refuseOldLogin(receiver);
    await admit(receiver, request);
    if (request.verb !== 'hello') receiver.admitted?.();
    say(receiver, request.verb, request.nonce, { ok: true, ...(await answer(receiver, request)) });
    return 0;
  } catch (error) {
    const failure = namingDisk(toFailure(error), [receiver.paths.inbox]);
    // Of a request that could not be read, too: on standard output rsync would take the words for its protocol.
    const verb = request?.verb ?? command?.split(' ')[0];
    const login = failure instanceof StaleLogin ? { login: 'stale' } : {};
    say(receiver, verb, request?.nonce ?? '', { ok: false, class: failure.class, why: failure.message, ...login });
    return failure.exitCode;
  }
}

function answer(receiver: Receiver, request: Request): Promise<Answer> {
  switch (request.verb) {
    case 'hello':
      return hello(receiver.paths);
    case 'status':
      return status(receiver.paths);
    case 'receipts':
      return receiptsSince(receiver.paths, request);
    case 'reply':
      return replyTo(receiver.paths, request);
    case 'export':
      return madeHere(receiver.paths, request.stream);
    case 'confirm':
      return keepConfirm(receiver);
    case 'message':
      return keepMessage(receiver);
    case 'push':
      return takePush(receiver, request);
  }
}

function say(receiver: Receiver, verb: string | undefined, nonce: string, words: Answer): void {
  const line = JSON.stringify({ nonce, ...words });
  if (verb === 'push') receiver.stderr(line);
  else receiver.stdout(line);
}
