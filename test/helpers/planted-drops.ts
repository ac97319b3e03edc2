import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Manifest } from '../../src/rules/manifest.ts';
import type { TestMaster } from './pair.ts';

export const epochId = '00c0ffee00c0ffee';
export const payload = 'etc/puppetlabs/secrets/planted';
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

export interface Plant {
  readonly name?: string;
  readonly manifest?: Partial<Record<keyof Manifest, unknown>>;
  /** Instead of the right one. */
  readonly signature?: string;
  /** What is done to the directory then. */
  readonly spoil?: (directory: string) => void;
}

/** A drop in the inbox, as the transfer user could put it there: right in everything but what is asked for. */
export function plantDrop(
  ready: string,
  source: TestMaster,
  { name = `1.${epochId}-50`, manifest, signature, spoil }: Plant,
): void {
  const directory = join(ready, name);
  const text = JSON.stringify({
    ...{ format: 1, stream: 'sync-files', epoch: { number: 1, id: epochId }, sequence: 50, source: 'mastera.test' },
    ...{
      target: 'masterb.test',
      capturedAt: '',
      platform: 'puppet',
      build: 'test',
      kind: 'delta',
      digest: `sha256:${'0'.repeat(64)}`,
    },
    files: [file(payload)],
    ...{ deleted: [], needs: [], detail: {} },
    ...manifest,
  });
  mkdirSync(join(directory, dirname(payload)), { recursive: true });
  writeFileSync(join(directory, payload), 'planted');
  writeFileSync(join(directory, 'manifest.json'), text);
  writeFileSync(join(directory, 'manifest.sig'), signature ?? source.signer.sign('manifest', text));
  spoil?.(directory);
}

export const file = (path: string, mode = 0o600) => ({
  path,
  size: 7,
  sha256: sha256('planted'),
  mode,
  owner: 'root',
  group: 'root',
});
export const replace =
  (name: string, by: (path: string) => void) =>
  (directory: string): void => {
    rmSync(join(directory, name), { recursive: true });
    by(join(directory, name));
  };
export const linkTo =
  (target: () => string) =>
  (path: string): void =>
    symlinkSync(target(), path);
export const pipe = (path: string): void => void execFileSync('mkfifo', [path]);

/** Directories one below the other, and a file in the last: longer than any path that one call takes. */
export function plantDeep(directory: string, names: readonly string[], last?: string): void {
  const make = `const [, names, last] = process.argv;
    for (const name of JSON.parse(names)) { fs.mkdirSync(name); process.chdir(name); }
    if (last !== undefined) fs.writeFileSync(last, 'planted');`;
  const args = [JSON.stringify(names), ...(last === undefined ? [] : [last])];
  execFileSync(process.execPath, ['-e', make, ...args], { cwd: directory });
}
