import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Failure } from '../errors.ts';
import {
  dropName,
  manifestName,
  maxFiles,
  maxManifestBytes,
  parseManifestText,
  payloadOf,
  readManifest,
  signatureName,
  type Manifest,
  type ManifestFile,
} from '../rules/manifest.ts';
import { parseSigned } from '../rules/program.ts';
import type { HostileTree } from '../system/beneath.ts';
import { demandSpace } from '../system/file-systems.ts';
import { copyHashing, listDirectory, readIfThere, syncDirectory, writeFileAtomic } from '../system/files.ts';
import { verifySignature, type PublicKeys } from '../system/sign.ts';

/** What a drop must be to be taken out of the inbox. */
export interface Expected {
  readonly stream: string;
  /** Name of its directory in the inbox: `EPOCH-SEQUENCE`. */
  readonly name: string;
  readonly source: string;
  readonly target: string;
  /** The source's: either, while it changes its keys. */
  readonly signingKey: PublicKeys;
}

/** A manifest whose signature, stream, source, target and name are right, and the exact text that was signed. */
export interface SignedManifest {
  readonly manifest: Manifest;
  readonly text: string;
}

/** Reads what a drop in the inbox says that it is. Nothing else of it is looked at. Throws `bad-data`. */
export async function readSigned(tree: HostileTree, expected: Expected): Promise<SignedManifest> {
  const text = await tree.readText(manifestName, maxManifestBytes);
  return { text, manifest: verifyManifest(text, await tree.readText(signatureName, 1024), expected) };
}

/**
 * Copies a drop (its tree in the inbox) into a tree that only root can write, hashing what it copies. INVARIANT: `target` exists
 * only whole, with the right signature and every sha256 right. Throws `bad-data`; what was at `target` is there still then,
 * and `dependency` where it has no room with `reserve` bytes left.
 */
export async function takeOver(
  tree: HostileTree,
  target: string,
  { manifest, text }: SignedManifest,
  reserve = 0,
): Promise<void> {
  if ((await readIfThere(join(target, manifestName))) === text) return; // pushed again: it waits here, whole
  await refuseExtraFiles(tree, manifest);
  const [home, temporary] = [dirname(target), join(dirname(target), `.${dropName(manifest)}`)];
  // What killed ones left would be in the way of this one.
  for (const name of (await listDirectory(home)).filter((each) => each.startsWith('.')))
    await rm(join(home, name), { recursive: true, force: true });
  const bytes = manifest.files.reduce((sum, file) => sum + payloadOf(file).size, 0);
  await demandSpace(home, { what: `a drop of ${manifest.stream}`, bytes, reserve }).catch(async (noRoom: unknown) => {
    await refuseOtherSizes(tree, manifest.files); // a lie would be in the way of all that comes behind it
    throw noRoom;
  });
  try {
    await copyPayload(tree, temporary, manifest.files);
    // The text that was verified, not the file: it may be another one by now.
    await writeFileAtomic(join(temporary, manifestName), text, { mode: 0o600 });
    await rm(target, { recursive: true, force: true }); // killed here, the drop still lies in the inbox
    await rename(temporary, target);
    await syncDirectory(home);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** The manifest of signed text. Nothing in it is looked at before the signature is right. */
function verifyManifest(text: string, signature: string, expected: Expected): Manifest {
  const refuse = (why: string): Failure =>
    new Failure('bad-data', 'drop refused', { where: `${expected.stream} ${expected.name}`, why });
  if (!verifySignature(expected.signingKey, 'manifest', text, signature)) {
    throw refuse(`its manifest does not carry the signature of ${expected.source}`);
  }
  const manifest = parseSigned(parseManifestText(text), readManifest);
  if (manifest.stream !== expected.stream) throw refuse(`it was made for ${manifest.stream}`);
  if (manifest.source !== expected.source)
    throw refuse(`it comes from ${manifest.source}, and not from ${expected.source}`);
  if (manifest.target !== expected.target)
    throw refuse(`it was made for ${manifest.target}, and this is ${expected.target}`);
  if (dropName(manifest) !== expected.name) throw refuse(`it is drop ${dropName(manifest)}`);
  return manifest;
}

async function refuseExtraFiles(tree: HostileTree, manifest: Manifest): Promise<void> {
  const known = new Set([manifestName, signatureName, ...manifest.files.map(({ path }) => path)]);
  const extra = (await tree.list(maxFiles + 2)).find((path) => !known.has(path));
  if (extra !== undefined)
    throw new Failure('bad-data', 'drop refused', { where: extra, why: 'its manifest does not name this file' });
}

async function refuseOtherSizes(tree: HostileTree, files: readonly ManifestFile[]): Promise<void> {
  for (const file of files) {
    await using source = await tree.openFile(file.path);
    const { size } = await source.stat();
    if (size !== payloadOf(file).size) throw otherContent(file.path, `${size} bytes`);
  }
}

const otherContent = (where: string, found: string): Failure =>
  new Failure('bad-data', 'drop refused', { where, why: `its content is not what the manifest says (${found})` });

async function copyPayload(tree: HostileTree, to: string, files: readonly ManifestFile[]): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o700 });
  const directories = new Set<string>([to]);
  for (const file of files) {
    const target = join(to, file.path);
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    directories.add(dirname(target));
    await using source = await tree.openFile(file.path);
    const expected = payloadOf(file);
    const copied = await copyHashing(source, target, 0o600, expected.size);
    if (copied.size !== expected.size || copied.sha256 !== expected.sha256)
      throw otherContent(file.path, `${copied.size} bytes, sha256 ${copied.sha256}`);
  }
  for (const directory of directories) await syncDirectory(directory);
}
