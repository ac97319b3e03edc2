import { lstat, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Failure, isErrno } from '../errors.ts';
import { keyNames } from '../rules/ca-paths.ts';
import type { ManifestFile } from '../rules/manifest.ts';
import { formatSerial, parseSerial, raiseSerial } from '../rules/serial.ts';
import type { Accounts } from '../system/accounts.ts';
import { isKeyOf, readCertificates } from '../system/certificates.ts';
import { demandSpace } from '../system/file-systems.ts';
import { copyFileAtomic, ensureDirectory, readBytesIfThere, readIfThere, sha256File } from '../system/files.ts';
import { syncDirectory, writeFileAtomic } from '../system/files.ts';
import { inParallel } from '../system/in-parallel.ts';
import type { Step } from '../system/journal.ts';
import { bytesOf } from '../system/trees.ts';
import { captureCa } from './ca-capture.ts';
import { liveOwnership } from './ca-ownership.ts';
import { listCa } from './ca.ts';
import { keyOfCa } from './ca-live.ts';

export interface AdoptionCapture {
  readonly cadir: string;
  readonly directory: string;
  /** sha256 of the issuing CA certificate that was asked for, lower-case hexadecimal. */
  readonly fingerprint: string;
  readonly accounts: Accounts;
}

/** On the active: the whole CA with its keys, into an empty directory. The only way by which keys ever leave. */
export async function captureForAdoption(request: AdoptionCapture): Promise<ManifestFile[]> {
  const { cadir, directory, accounts } = request;
  await checkAuthority(cadir, request.fingerprint);
  await demandSpace(directory, { what: 'a copy of the CA', bytes: await bytesOf(cadir), reserve: 0 });
  const { paths } = await listCa(cadir);
  const { changed } = await captureCa({ cadir, directory, paths, known: () => undefined, accounts });
  const files = changed.map(({ file }) => file);
  for (const path of keyNames) {
    const found = await liveOwnership(join(cadir, path));
    if (found === undefined) continue;
    const target = join(directory, path);
    await copyFileAtomic(join(cadir, path), target, { mode: 0o600 });
    const { size } = await lstat(target);
    const [owner, group] = [accounts.userName(found.uid), accounts.groupName(found.gid)];
    files.push({ path, size, sha256: await sha256File(target), mode: found.mode, owner, group });
  }
  return files;
}

export interface Adoption {
  readonly cadir: string;
  /** The verified payload, and what is in it. */
  readonly directory: string;
  readonly files: readonly ManifestFile[];
  readonly fingerprint: string;
  readonly accounts: Accounts;
  /** For the name of the CA that is replaced, such as `20261121T031651Z`; the same when the steps are made again. */
  readonly date: string;
  readonly isServerStopped: () => Promise<boolean>;
}

export const adoptionPointOfNoReturn = 'retire';

/** The first copy on the spare: built beside, then renamed into place while puppetserver does not run. */
export function adoptionSteps(adoption: Adoption): Step[] {
  const { cadir } = adoption;
  const beside = besideOf(cadir);
  const isDone = (): Promise<boolean> => isAdopted(cadir, adoption.fingerprint);
  return [
    {
      name: 'build',
      isDone,
      do: () => build(adoption, beside),
      undo: () => rm(beside, { recursive: true, force: true }),
    },
    {
      name: adoptionPointOfNoReturn,
      isDone: async () => (await isDone()) || !(await exists(cadir)),
      do: async () => {
        await refuseRunningServer(adoption);
        await rename(cadir, `${cadir}.replaced-${adoption.date}`);
        await syncDirectory(dirname(cadir));
      },
    },
    {
      name: 'switch',
      isDone,
      do: async () => {
        await refuseRunningServer(adoption);
        await rename(beside, cadir);
        await syncDirectory(dirname(cadir));
      },
    },
  ];
}

const blockBytes = 4096;

async function build(adoption: Adoption, beside: string): Promise<void> {
  const { directory, files, accounts, fingerprint } = adoption;
  await checkAuthority(directory, fingerprint);
  await rm(beside, { recursive: true, force: true });
  // Small files: each takes a block of its own.
  const bytes = files.reduce((sum, { size }) => sum + Math.ceil(size / blockBytes) * blockBytes, 0);
  await demandSpace(dirname(beside), { what: 'the CA that is adopted', bytes, reserve: 0 });
  await mkdir(dirname(beside), { recursive: true });
  const owned = (file: ManifestFile | undefined, mode: number) => {
    return { mode, uid: (file && accounts.uid(file.owner)) ?? 0, gid: (file && accounts.gid(file.group)) ?? 0 };
  };
  const key = files.find(({ path }) => path === keyOfCa);
  for (const name of ['', 'signed', 'requests']) await ensureDirectory(join(beside, name), owned(key, 0o750));
  await inParallel(files, 16, async (file) => {
    const target = join(beside, file.path);
    if (file.path !== 'serial') return copyFileAtomic(join(directory, file.path), target, owned(file, file.mode));
    const theirs = parseSerial((await readIfThere(join(directory, file.path))) ?? '');
    const serial = raiseSerial({ live: undefined, theirs, issued: [] }) ?? 0n;
    await writeFileAtomic(target, formatSerial(serial), owned(file, file.mode));
  });
  for (const name of ['signed', 'requests', '']) await syncDirectory(join(beside, name));
}

/** The CA must be the one that was asked for, whole with its key. */
async function checkAuthority(directory: string, fingerprint: string): Promise<void> {
  const where = join(directory, 'ca_crt.pem');
  const [authority] = readCertificates((await readBytesIfThere(where)) ?? '', where);
  if (authority?.fingerprint !== fingerprint) {
    const why = `asked for ${fingerprint}, found ${authority?.fingerprint ?? 'none'}`;
    throw new Failure('refused', 'the CA is another one than was asked for', { where, why });
  }
  const key = await readBytesIfThere(join(directory, keyOfCa));
  if (key === undefined || !isKeyOf(key, authority)) {
    throw new Failure('bad-data', "the CA's key is missing or of another certificate", {
      where: join(directory, keyOfCa),
    });
  }
}

const besideOf = (cadir: string): string => `${cadir}.pe-failover-adopting`;

/** Whether this CA is in place, and no adoption is half done. */
export async function isAdopted(cadir: string, fingerprint: string): Promise<boolean> {
  if (await exists(besideOf(cadir))) return false;
  const where = join(cadir, 'ca_crt.pem');
  const pem = await readBytesIfThere(where);
  return pem !== undefined && readCertificates(pem, where)[0]?.fingerprint === fingerprint;
}

async function refuseRunningServer({ isServerStopped }: Adoption): Promise<void> {
  if (await isServerStopped()) return;
  const hint = 'Stop it first: puppet resource service puppetserver ensure=stopped (pe-puppetserver on PE)';
  throw new Failure('refused', 'puppetserver still runs', { why: 'it would go on with the CA that is replaced', hint });
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}
