import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseServerWords, senderOptions, serverArguments } from '../../src/rules/push-options.ts';

const parse = (text: string): unknown => parseServerWords(text.split(' '));
const plain = (flags: string): string => `--server ${flags} --timeout=30 --delete --inplace . .`;
const bulk = (flags: string): string =>
  `--server ${flags} -B700 --timeout=30 --delete --copy-dest ../basis --inplace . .`;

describe('the words of a push', () => {
  // Written down as these clients sent them: 3.5.0 and 3.2.7 of Debian 12, 3.1.3 of its package backuppc-rsync.
  it.each([
    ['3.5.0', '-rIe.iLsfxCIvu', 'iLsfxCIvu'],
    ['3.2.7', '-rIe.iLsfxCIvu', 'iLsfxCIvu'],
    ['3.1.3', '-rIe.iLsfxC', 'iLsfxC'],
  ])('of rsync %s are those of a push', (_, flags, letters) => {
    expect(parse(plain(flags))).toEqual({ letters, bulk: false });
    expect(parse(bulk(flags))).toEqual({ letters, bulk: true });
    expect(parse(plain(flags).replace('--delete', '--bwlimit=2000 --delete'))).toEqual({ letters, bulk: false });
  });

  // By the sources of rsync: no client of these was run.
  it.each([
    ['3.0, without incremental lists', '-rIe.Lsf', 'Lsf'],
    ['without times of links and without iconv', '-rIe.ifxCIvu', 'ifxCIvu'],
    ['a later one, which knows more', '-rIe.iLsfxCIvuZ', 'iLsfxCIvu'],
  ])('of rsync %s go on with what is known here', (_, flags, letters) =>
    expect(parse(plain(flags))).toEqual({ letters, bulk: false }),
  );

  it('of the rsync of this machine are those of a push', () => {
    const home = mkdtempSync(join(tmpdir(), 'push-options-'));
    writeFileSync(join(home, 'rsh'), '#!/bin/sh\nshift\necho "$@" > "$(dirname "$0")/words"\nexit 1\n', {
      mode: 0o755,
    });
    for (const isBulk of [false, true]) {
      const way = ['-e', join(home, 'rsh'), '--rsync-path=PUSH', `${home}/`, 'host:.'];
      spawnSync('rsync', [...senderOptions(isBulk), ...way]);
      const [name, ...words] = readFileSync(join(home, 'words'), 'utf8').trim().split(' ');
      expect(name).toBe('PUSH');
      expect(parseServerWords(words), words.join(' ')).toMatchObject({ bulk: isBulk });
    }
    rmSync(home, { recursive: true });
  });

  it.each([
    ['no letter', '-rIe.'],
    ['a letter twice', '-rIe.iLsfxCCIvu'],
    ['no dot', '-rIeiLsfxCIvu'],
    ['a protocol of its own', '-rIe31.0iLsfxCIvu'],
    ['what is no letter', '-rIe.iLsfxC/../x'],
    ['an option behind them', '-rIe.iLsf --sender'],
    ['a program for them', '-rIe sh'],
    ['another flag before them', '-rlIe.iLsfxCIvu'],
    ['far too many', `-rIe.${'abcdefghijklmnopqrstuvwxyz'}`],
  ])('with %s behind -e are refused', (_, flags) => expect(parse(plain(flags))).toBeUndefined());

  it('that the gate starts rsync with are its own, whatever the client knows', () =>
    expect(serverArguments({ letters: 'iLsf', bulk: false }).join(' ')).toBe(
      '--server -rIe.iLsf --timeout=30 --delete --inplace . .',
    ));
});
