import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { bundleFiles, type BundleFile } from '../agent/support-bundle.ts';
import { demandRoot, openHost, program, type Host } from '../app.ts';
import { toFailure } from '../errors.ts';
import { programVersion } from '../rules/program.ts';
import { redact, secretLines, secretsIn } from '../rules/redact.ts';
import { counted, spokenBytes } from '../rules/spoken.ts';
import { packDirectory } from '../system/tar.ts';

/** Packs everything that a report of a mistake needs, with what is secret taken out. Exit code 0. */
export async function supportBundle(root: string, output: string | undefined, signal: AbortSignal): Promise<number> {
  demandRoot(root);
  const host = await openHost(root);
  const stamp = host.clock
    .now()
    .toISOString()
    .replaceAll(/[-:]|\.\d+/g, '');
  const name = `pe-failover-support-${host.certname}-${stamp}`;
  const file = resolve(output ?? `${name}.tar.gz`);
  const home = await mkdtemp(join(await roomOf(host), 'support-'));
  try {
    const contents = await write(host, join(home, name), signal);
    const bytes = await packDirectory(host.exec, join(home, name), file, signal);
    console.log(`${file}: ${spokenBytes(bytes)}, ${counted(contents.length, 'file')}, for root alone:`);
    for (const line of contents) console.log(`  ${line}`);
    console.log('Secrets are taken out as far as they can be told: look through it before you send it.');
    return 0;
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

async function roomOf({ paths }: Host): Promise<string> {
  await mkdir(paths.work, { recursive: true, mode: 0o700 });
  return paths.work;
}

async function write(host: Host, directory: string, signal: AbortSignal): Promise<string[]> {
  const secrets = await knownSecrets(host);
  const { exec, paths, config, certname } = host;
  const { platform, transfer } = config;
  const parts = { exec, paths, program, config, certname, platform, version: programVersion, user: transfer.user };
  const written: string[] = [];
  for (const file of await bundleFiles(parts)) {
    signal.throwIfAborted();
    const text = redact(await readOrSay(file, signal), secrets);
    const path = join(directory, file.name);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeFile(path, text, { mode: 0o600, flush: false });
    written.push(`${file.name.padEnd(40)} ${spokenBytes(Buffer.byteLength(text))}`);
  }
  return written;
}

const readOrSay = async ({ read }: BundleFile, signal: AbortSignal): Promise<string> =>
  await read(signal).catch((error: unknown) => {
    signal.throwIfAborted();
    return `(not gathered: ${toFailure(error).message})\n`;
  });

const largestSecret = 256 * 1024;

/** Our keys, and what the configuration calls a secret: listed files, key files, tokens. Each line of them counts. */
async function knownSecrets({ config, paths, below }: Host): Promise<string[]> {
  const token = config.classifier.token_file;
  const listed = [...config.files, ...config.databases.flatMap(({ needs }) => needs)].map(below);
  const roots = [...listed, paths.keys.directory, paths.keyFiles, ...(token === undefined ? [] : [token])];
  const found = await Promise.all(roots.map(secretsBelow));
  return [...secretsIn(config), ...found.flat()];
}

async function secretsBelow(path: string): Promise<string[]> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return [];
  if (found.isFile()) return found.size > largestSecret ? [] : secretLines(await readFile(path, 'utf8'));
  if (!found.isDirectory()) return [];
  const entries = await readdir(path, { withFileTypes: true });
  // A link to a directory may lead back to where it stands.
  const isLinkedDirectory = async (inner: string): Promise<boolean> =>
    (await stat(inner).catch(() => undefined))?.isDirectory() === true;
  const lines: string[] = [];
  for (const entry of entries) {
    const inner = join(path, entry.name);
    if (!entry.isSymbolicLink() || !(await isLinkedDirectory(inner))) lines.push(...(await secretsBelow(inner)));
  }
  return lines.filter((line) => !isPublic(line));
}

/** Of `transfer.pub` and `known_hosts`: what may stand anywhere. */
const isPublic = (line: string): boolean => /^\S*\s?(?:ssh-|ecdsa-)\S+ /.test(line);
