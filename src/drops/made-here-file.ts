import { digestOfOwn, firstOf, isNothing, type MadeHere, type OwnOfCa } from '../rules/made-here.ts';
import { programVersion } from '../rules/program.ts';
import { readIfThere, removeIfThere, writeFileAtomic, type Ownership } from '../system/files.ts';
import { readSealed, resealed, seal, type Signer } from '../system/sign.ts';

/** What this master made itself, as one line that root signed and the gate hands on. */
export interface MadeHereFile {
  /** Nothing is written where it says the same already. */
  write(own: OwnOfCa): Promise<void>;
  /** Of what stands there; undefined: nothing. */
  digest(): Promise<string | undefined>;
  /** The same words with the key in use now. */
  signAnew(): Promise<void>;
}

export interface MadeHereParts {
  readonly path: string;
  readonly signer: Signer;
  /** This master's certname. */
  readonly source: string;
  /** Whom it is for: the active's certname. */
  readonly target: () => Promise<string>;
  readonly ownership: Ownership;
  readonly now: () => Date;
  /** The greeting tells its digest. */
  readonly introduce: () => Promise<void>;
}

interface Known {
  readonly target: string | undefined;
  readonly digest: string | undefined;
}

export function createMadeHereFile(parts: MadeHereParts): MadeHereFile {
  let cached: Known | undefined;
  const known = async (): Promise<Known> => (cached ??= await read(parts.path));
  return {
    signAnew: async () => {
      const line = await readIfThere(parts.path);
      if (line === undefined) return;
      const anew = resealed(parts.signer, 'made-here', line.trim());
      await writeFileAtomic(parts.path, `${anew}\n`, parts.ownership);
    },
    digest: async () => (await known()).digest,
    write: async (own) => {
      const said = firstOf(own);
      const target = await parts.target();
      const digest = isNothing(said) ? undefined : digestOfOwn(said);
      const before = await known();
      if (before.digest === digest && (digest === undefined || before.target === target)) return;
      if (digest === undefined) await removeIfThere(parts.path);
      else
        await writeFileAtomic(
          parts.path,
          `${seal(parts.signer, 'made-here', lineOf(parts, said, target))}\n`,
          parts.ownership,
        );
      cached = { target, digest };
      await parts.introduce();
    },
  };
}

const lineOf = ({ source, now }: MadeHereParts, said: ReturnType<typeof firstOf>, target: string): MadeHere => ({
  ...{ format: 1, source, target, at: now().toISOString(), program: programVersion },
  ...said,
});

async function read(path: string): Promise<Known> {
  const line = await readIfThere(path);
  if (line === undefined) return { target: undefined, digest: undefined };
  const said = readSealed(line.trim(), 'made-here') as MadeHere;
  return { target: said.target, digest: digestOfOwn(said) };
}
