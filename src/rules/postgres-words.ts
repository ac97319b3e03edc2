/**
 * What of a tool's standard error may be said. A message of PostgreSQL has values of rows behind it, in DETAIL and CONTEXT, or
 * the whole statement, whatever its language: the tool's own lines alone are kept.
 */
export const withoutRows = (said: string): string =>
  said
    .split('\n')
    .filter((line) => /^(?:pg_dump|pg_restore|setpriv): /.test(line))
    .filter((line) => !/^\w+: detail: Command was: /.test(line))
    .map(withoutValue)
    .join('\n');

/** `invalid input syntax for type integer: "..."`: what stands quoted behind a colon, to the end. */
export const withoutValue = (message: string): string =>
  message.replace(/: ["'«»„“”‘’「][^]*$/, ': (a value of a row)');
