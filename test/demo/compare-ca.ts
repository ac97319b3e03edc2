// Compares the CAs of two masters by their files, with openssl as a second opinion. Each function says what is amiss.
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { DemoMaster } from './master.ts';

const run = promisify(execFile);
export type Problem = string | undefined;
type Side = Pick<DemoMaster, 'letter' | 'cadir'>;

/** The certificates, with what puppetserver writes beside them. */
export async function certificatesProblem(from: Side, to: Side, names: readonly string[]): Promise<Problem> {
  for (const name of names) {
    const path = join('signed', `${name}.pem`);
    const [theirs, ours] = [await bytes(from, path), await bytes(to, path)];
    if (theirs === undefined) return `${from.letter} itself has no ${path}`;
    if (ours === undefined) return `${to.letter} has no ${path}`;
    if (!theirs.equals(ours)) return `${path} differs`;
  }
  return (await inventoryProblem(from, to)) ?? (await serialProblem(from, to));
}

/** Everything: each certificate on both sides, byte by byte, and the authority itself. */
export async function caProblem(from: Side, to: Side): Promise<Problem> {
  const authority = [await bytes(from, 'ca_crt.pem'), await bytes(to, 'ca_crt.pem')] as const;
  if (authority[1] === undefined) return `${to.letter} has no CA`;
  if (authority[0]?.equals(authority[1]) !== true) return 'ca_crt.pem differs';
  const [theirs, ours] = [await signedBy(from), await signedBy(to)];
  const extra = ours.filter((name) => !theirs.includes(name));
  if (extra.length > 0) return `${to.letter} alone has ${extra.join(', ')}`;
  return (await certificatesProblem(from, to, theirs)) ?? (await revocationsProblem(from, to));
}

/** Who is revoked on one side is revoked on the other. */
export async function revocationsProblem(from: Side, to: Side): Promise<Problem> {
  const [theirs, ours] = [await revokedSerials(from), await revokedSerials(to)];
  const missing = [...theirs].filter((serial) => !ours.has(serial));
  return missing.length === 0 ? undefined : `${to.letter}'s CRL lacks the serials ${missing.join(', ')}`;
}

/** What openssl thinks of a certificate, by the CA and CRL of that side: "OK", or its reason. */
export async function verdictOf(side: Side, certificate: Buffer): Promise<string> {
  const at = (name: string): string => join(side.cadir, name);
  const args = ['-CAfile', at('ca_crt.pem'), '-CRLfile', at('ca_crl.pem'), '-crl_check_all'];
  const asked = run('openssl', ['verify', ...args]);
  asked.child.stdin?.end(certificate);
  return await asked.then(
    () => 'OK',
    (error: unknown) => /error \d+ at \d+ depth lookup: ([^\n]*)/.exec(String(error))?.[1] ?? String(error),
  );
}

export const readCertificate = (side: Side, name: string): Promise<Buffer> =>
  readFile(join(side.cadir, 'signed', `${name}.pem`));

export async function signedBy({ cadir }: Side): Promise<string[]> {
  const names = await readdir(join(cadir, 'signed'));
  return names
    .filter((name) => name.endsWith('.pem'))
    .map((name) => name.slice(0, -4))
    .sort();
}

async function inventoryProblem(from: Side, to: Side): Promise<Problem> {
  const lines = async (side: Side): Promise<string[]> =>
    String((await bytes(side, 'inventory.txt')) ?? '')
      .split('\n')
      .filter(Boolean);
  const [theirs, ours] = [await lines(from), new Set(await lines(to))];
  const missing = theirs.filter((line) => !ours.has(line));
  return missing.length === 0 ? undefined : `${to.letter}'s inventory lacks ${missing.length} lines: ${missing[0]}`;
}

// A spare that signs must never give a serial twice.
async function serialProblem(from: Side, to: Side): Promise<Problem> {
  const [theirs, ours] = [await bytes(from, 'serial'), await bytes(to, 'serial')].map((text) =>
    parseInt(String(text), 16),
  );
  if (theirs !== undefined && ours !== undefined && ours > theirs) return undefined;
  return `the serial of ${to.letter} is ${ours}, that of ${from.letter} ${theirs}`;
}

async function revokedSerials({ cadir }: Side): Promise<Set<string>> {
  const { stdout } = await run('openssl', ['crl', '-in', join(cadir, 'ca_crl.pem'), '-noout', '-text'], {
    maxBuffer: 1e8,
  });
  return new Set([...stdout.matchAll(/Serial Number: ([0-9A-F]+)/g)].map(([, serial]) => serial ?? ''));
}

const bytes = ({ cadir }: Side, path: string): Promise<Buffer | undefined> =>
  readFile(join(cadir, path)).catch(() => undefined);
