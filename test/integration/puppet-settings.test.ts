import { appendFileSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { printSetting, printSettings } from '../../src/puppet/settings.ts';
import { exec } from '../../src/system/exec.ts';
import { createState } from '../../src/system/state.ts';

let home: string;
let puppet: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'pe-failover-puppet-'));
  puppet = join(home, 'puppet');
  writeFileSync(join(home, 'asked'), '');
  writeFileSync(puppet, `#!/bin/sh\necho "$@" >> ${home}/asked\necho "Warning: old"\necho "answer to $3"\n`, {
    mode: 0o755,
  });
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const asked = (): string[] => readFileSync(join(home, 'asked'), 'utf8').split('\n').slice(0, -1);
const print = (setting: string, section?: string): Promise<string> =>
  printSetting(exec, { puppet, memory: createState(home) }, setting, section === undefined ? {} : { section });

test('puppet is asked once for each setting and section, and its last line counts', async () => {
  for (let n = 0; n < 3; n += 1) {
    expect(await print('certname')).toBe('answer to certname');
    expect(await print('cadir', 'server')).toBe('answer to cadir');
  }
  expect(asked()).toEqual(['config print certname', 'config print cadir --section server']);
});

test('and again when puppet was changed', async () => {
  await print('certname');
  appendFileSync(puppet, 'echo "other $3"\n');
  utimesSync(puppet, 1, 1);
  expect(await print('certname')).toBe('other certname');
});

test('what was kept and cannot be read is asked for again', async () => {
  await print('certname');
  writeFileSync(join(home, 'puppet-settings.json'), 'torn');
  expect(await print('certname')).toBe('answer to certname');
  expect(asked()).toHaveLength(2);
});

test('where nothing can be kept, it is asked each time', async () => {
  const memory = createState(join(home, 'not/there'));
  for (let n = 0; n < 2; n += 1) await printSetting(exec, { puppet, memory }, 'certname');
  expect(asked()).toHaveLength(2);
});

test('a failure is not kept', async () => {
  rmSync(puppet);
  await expect(print('certname')).rejects.toThrow(/puppet could not be asked for certname/);
  writeFileSync(puppet, '#!/bin/sh\necho there again\n', { mode: 0o755 });
  expect(await print('certname')).toBe('there again');
});

test('of several settings puppet is asked at once, and only for those that are not known', async () => {
  const place = { puppet, memory: createState(home) };
  const lines = 'echo "Warning: a = b"\necho "autosign = true"\necho "ca_ttl = 5 years"\n';
  writeFileSync(puppet, `#!/bin/sh\necho "$@" >> ${home}/asked\n${lines}`);
  const ask = () => printSettings(exec, place, ['autosign', 'ca_ttl'], { section: 'server' });
  for (let n = 0; n < 2; n += 1) {
    expect([...(await ask())]).toEqual([
      ['autosign', 'true'],
      ['ca_ttl', '5 years'],
    ]);
  }
  expect(asked()).toEqual(['config print autosign ca_ttl --section server']);
});
