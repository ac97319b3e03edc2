import type { Argv } from 'yargs';
import { Failure, toFailure } from './errors.ts';
import { verbs } from './verbs/all.ts';
import type { Given } from './verbs/verb.ts';

/** The first signal lets running work end at its next safe point; the second ends at once. */
function untilSignalled(): AbortSignal {
  const over = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (over.signal.aborted) process.exit(130);
      over.abort();
    });
  }
  return over.signal;
}

async function parse(args: readonly string[]): Promise<number> {
  const { default: yargs } = await import('yargs');
  const signal = untilSignalled();
  let code = 0;
  const parser = yargs([...args])
    .scriptName('pe-failover')
    .usage('$0 <command>\n\nKeeps a second Puppet master warm.')
    .option('root', { type: 'string', default: '/', describe: 'Everything but sockets lies below this directory' })
    .version(false)
    .demandCommand(1, 'say what to do')
    .parserConfiguration({ 'boolean-negation': false }) // --no-start is a word of its own
    .strict()
    .recommendCommands()
    .wrap(100)
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new Failure('usage', message, { hint: 'Type: pe-failover --help' });
    });
  for (const { command, describe, hidden, options = {}, epilogue = '', run } of verbs) {
    const handler = async (given: Given): Promise<void> => void (code = await run(given, signal));
    const builder = (one: Argv): Argv => one.options(options).epilogue(epilogue);
    parser.command({ command, describe: hidden === true ? false : describe, builder, handler });
  }
  await parser.parseAsync();
  return code;
}

function tell(error: unknown): number {
  const failure = toFailure(error);
  process.stderr.write(`pe-failover: ${failure.message}\n`);
  if (failure.class === 'bug' && failure.cause instanceof Error) process.stderr.write(`${failure.cause.stack ?? ''}\n`);
  return failure.exitCode;
}

// `receive` and --version are answered before anything heavy is loaded: a push waits for them.
const args = process.argv.slice(2);
if (args[0] === 'receive') process.exitCode = await (await import('./commands/receive.ts')).runReceive(args.slice(1));
else if (args[0] === '--version') console.log((await import('./rules/program.ts')).programVersion);
else process.exitCode = await parse(args).catch(tell);
