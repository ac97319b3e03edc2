import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import {
  judgeHost,
  parseHostReport,
  quoted,
  reportScript,
  type HereReport,
  type HostReport,
} from '../../src/rules/host-report.ts';

const here: HereReport = {
  ...{ certname: 'mastera.test', machine: 'x86_64', build: '2021.7.3', needs: 2e9, hasCa: true, demandsRoot: true },
};
const there: HostReport = {
  ...{ uid: 0, machine: 'x86_64', version: '', mode: '', peer: '', build: '2021.7.3', certname: 'masterb.test' },
  ...{ free: 9e9, puppetserver: '' },
};
const says = (given: Partial<HostReport>): string[] =>
  judgeHost({ ...there, ...given }, here).map(({ verdict, says: words }) => `${verdict} ${words}`);

describe('a host', () => {
  it('that is clean and alike can become the spare', () => {
    expect(says({})).toEqual(['good masterb.test can become the spare: same build, 9.0 GB free']);
  });

  it.each<[string, Partial<HostReport>, string]>([
    ['where the login is not root', { uid: 1000 }, 'bad the login there is not root'],
    ['of another architecture', { machine: 'aarch64' }, 'bad that is aarch64, and this is x86_64'],
    ['of another build', { build: '2019.8.1' }, 'bad PE there is "2019.8.1", and "2021.7.3" here'],
    [
      'with the name of this master',
      { certname: 'mastera.test' },
      'bad it calls itself "mastera.test", as this master',
    ],
    ['that says no name', { certname: '' }, 'bad it calls itself "", as this master'],
    ['with too little room', { free: 1e9 }, 'bad it has 1.0 GB free, and needs 2.0 GB'],
    ['that does not say its room', { free: NaN }, 'bad it does not say how much is free, and needs 2.0 GB'],
    ['that is the spare of another', { mode: 'passive', peer: 'masterc.test' }, 'bad it is the spare of masterc.test'],
    [
      'that is the active of another pair',
      { mode: 'active', peer: 'masterc.test' },
      'bad it is an active, of another spare (masterc.test)',
    ],
  ])('%s does not', (_, given, words) => expect(says(given)).toContain(words));

  it('that is the old active of this pair becomes its spare', () => {
    expect(says({ mode: 'active', peer: 'mastera.test' })).toContain(
      'note it is an active of this pair, and becomes the spare of this one',
    );
  });
});

it('a word for a shell is one word there, whatever is in it', () => {
  for (const word of ["it's", '$(id)', 'a b', '`x`', '"', '\\', '\n', '*'])
    expect(execFileSync('sh', ['-c', `printf %s ${quoted(word)}`], { encoding: 'utf8' })).toBe(word);
});

it('what a host says of itself is read from a real shell', () => {
  const said = execFileSync('sh', ['-s'], { input: reportScript('/nowhere at all', '/nowhere'), encoding: 'utf8' });
  const report = parseHostReport(said);
  expect(report).toMatchObject({ uid: process.getuid?.(), version: '', mode: '', peer: '', build: '' });
  expect(report.machine).toBe(execFileSync('uname', ['-m'], { encoding: 'utf8' }).trim());
});
