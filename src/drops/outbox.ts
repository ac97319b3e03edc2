import { mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Epoch } from '../rules/epoch.ts';
import { dropName, manifestName, parseManifest, signatureName, type Manifest } from '../rules/manifest.ts';
import { programVersion } from '../rules/program.ts';
import { isRunning } from '../system/exec.ts';
import { listDirectory, readIfThere, syncDirectory, writeFileAtomic } from '../system/files.ts';
import type { Signer } from '../system/sign.ts';
import type { Goods } from './delivery.ts';

/** Who we are and for whom we pack: what every manifest says of its origin. */
export interface Origin {
  readonly source: string;
  readonly target: string;
  readonly platform: string;
  readonly build: string;
}

export interface PackedDrop {
  readonly manifest: Manifest;
  readonly directory: string;
}

/** Captured drops of this master, `outbox/STREAM/EPOCH-SEQUENCE`: the newest of a stream is kept until it is overtaken. */
export interface Outbox {
  /** The packed drop that a broken push left, if it says the same as these goods. */
  find(goods: Goods, epoch: Epoch): Promise<PackedDrop | undefined>;
  /** Captures, signs, and lets the older drops of the stream go. A drop is there whole or not at all. */
  pack(
    goods: Goods,
    place: { epoch: Epoch; sequence: number },
    origin: Origin,
    options: PackOptions,
  ): Promise<PackedDrop>;
  manifest(stream: string, place: { epoch: Epoch; sequence: number }): Promise<Manifest | undefined>;
}

export interface PackOptions {
  readonly capturedAt: Date;
  readonly signal: AbortSignal;
  readonly packed: () => void;
}

export function createOutbox(directory: string, signer: Signer): Outbox {
  const manifestOf = async (stream: string, name: string): Promise<Manifest | undefined> => {
    const text = await readIfThere(join(directory, stream, name, manifestName));
    return text === undefined ? undefined : parseManifest(text);
  };
  return {
    manifest: (stream, place) => manifestOf(stream, dropName(place)),
    find: async (goods, epoch) => {
      for (const name of await listDirectory(join(directory, goods.stream))) {
        const manifest = name.startsWith('.') ? undefined : await manifestOf(goods.stream, name);
        if (manifest !== undefined && saysTheSame(manifest, goods, epoch))
          return { manifest, directory: join(directory, goods.stream, name) };
      }
      return undefined;
    },
    pack: async (goods, place, origin, options) => {
      const home = join(directory, goods.stream);
      const temporary = join(home, `.${process.pid}-${dropName(place)}`);
      await sweepStream(home, () => true); // whoever packs this stream holds the lock of its job
      await mkdir(temporary, { recursive: true, mode: 0o700 });
      try {
        const files = await goods.pack(temporary, options.signal);
        options.packed();
        const manifest = manifestFor(goods, place, origin, options.capturedAt, files);
        await sign(temporary, manifest, signer);
        await rename(temporary, join(home, dropName(place)));
        await syncDirectory(home);
        await keepOnly(home, dropName(place));
        return { manifest, directory: join(home, dropName(place)) };
      } catch (error) {
        await rm(temporary, { recursive: true, force: true }); // on a full disk it is in the way of the next one
        throw error;
      }
    },
  };
}

/** Every packed drop with the key in use now: it may have to be sent again. */
export async function signOutboxAnew(directory: string, signer: Signer): Promise<void> {
  for (const stream of await listDirectory(directory)) {
    for (const name of await listDirectory(join(directory, stream))) {
      const drop = join(directory, stream, name);
      const text = name.startsWith('.') ? undefined : await readIfThere(join(drop, manifestName));
      if (text !== undefined)
        await writeFileAtomic(join(drop, signatureName), signer.sign('manifest', text), { mode: 0o600 });
    }
  }
}

/** Removes what killed processes left half packed: it may be as large as a dump, and in the way of the next one. */
export async function sweepOutbox(directory: string): Promise<void> {
  for (const stream of await listDirectory(directory)) {
    await sweepStream(join(directory, stream), (name) => {
      const pid = /^\.(\d+)-/.exec(name)?.[1];
      return pid === undefined || !isRunning(Number(pid));
    });
  }
}

async function sweepStream(home: string, isLeft: (name: string) => boolean): Promise<void> {
  for (const name of await listDirectory(home)) {
    if (name.startsWith('.') && isLeft(name)) await rm(join(home, name), { recursive: true, force: true });
  }
}

const saysTheSame = (manifest: Manifest, goods: Goods, epoch: Epoch): boolean =>
  manifest.epoch.id === epoch.id &&
  manifest.digest === goods.digest &&
  manifest.kind === goods.kind &&
  manifest.base === goods.base;

function manifestFor(
  goods: Goods,
  place: { epoch: Epoch; sequence: number },
  origin: Origin,
  capturedAt: Date,
  files: Manifest['files'],
): Manifest {
  return {
    format: 1,
    stream: goods.stream,
    epoch: place.epoch,
    sequence: place.sequence,
    ...origin,
    program: programVersion,
    capturedAt: capturedAt.toISOString(),
    kind: goods.kind,
    ...(goods.base === undefined ? {} : { base: goods.base }),
    digest: goods.digest,
    files,
    deleted: goods.deleted ?? [],
    needs: goods.needs ?? [],
    detail: goods.detail ?? {},
  };
}

async function sign(directory: string, manifest: Manifest, signer: Signer): Promise<void> {
  const text = JSON.stringify(manifest);
  parseManifest(text); // what the spare would refuse never leaves
  await writeFile(join(directory, manifestName), text, { mode: 0o600 });
  await writeFile(join(directory, signatureName), signer.sign('manifest', text), { mode: 0o600 });
  for (const name of [manifestName, signatureName]) await syncFile(join(directory, name));
  await syncDirectory(directory);
}

async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function keepOnly(home: string, name: string): Promise<void> {
  for (const other of await listDirectory(home)) {
    if (other !== name) await rm(join(home, other), { recursive: true, force: true });
  }
}
