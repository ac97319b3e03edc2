import { Failure } from '../errors.ts';

/** As package.json has it; the package's own test compares them. */
export const programVersion = '0.1.0';

/**
 * Reads a value that the peer's root signed. If it cannot be read, another version made it: the error then says which two
 * do not understand each other. Throws what `parse` throws.
 */
export function parseSigned<Value>(signed: unknown, parse: (signed: unknown) => Value): Value {
  try {
    return parse(signed);
  } catch (error) {
    const there = programOf(signed);
    if (!(error instanceof Failure) || there === programVersion) throw error;
    const { what, where, why = what, cause } = error;
    throw new Failure(error.class, what, {
      ...(where === undefined ? {} : { where }),
      why: `${why}; ${there ?? 'an unknown version'} of pe-failover wrote it, and this is ${programVersion}`,
      hint: 'Install the same version on both masters',
      cause,
    });
  }
}

function programOf(signed: unknown): string | undefined {
  const { program } = Object(signed) as Readonly<Record<string, unknown>>;
  return typeof program === 'string' ? program.slice(0, 40) : undefined;
}
