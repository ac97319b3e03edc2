import { describe, expect, it } from 'vitest';
import {
  codeDifferences,
  commitOfR10k,
  headOfGit,
  isCodeNews,
  packedCommit,
  parseDeployedCode,
} from '../../src/rules/deployed-code.ts';

const [one, two] = ['1'.repeat(40), '2'.repeat(40)];

describe('the commit of an environment', () => {
  it.each([
    ['as r10k wrote it', `{"name":"production","signature":"${one}","deploy_success":true}`, one],
    ['of an older r10k, which says nothing of success', `{"signature":"${one}"}`, one],
    ['of a deployment that failed is not known', `{"signature":"${one}","deploy_success":false}`, undefined],
    ['of a file that is half written is not known', `{"signature":"${one}`, undefined],
    ['of a signature that is none is not known', '{"signature":"$(reboot)"}', undefined],
    ['of something else is not known', 'null', undefined],
  ])('%s', (_, text, commit) => {
    expect(commitOfR10k(text)).toBe(commit);
  });

  it('is what HEAD of git says, itself or by a branch', () => {
    expect(headOfGit(`${one}\n`)).toEqual({ commit: one });
    expect(headOfGit('ref: refs/heads/feature/x_1\n')).toEqual({ ref: 'refs/heads/feature/x_1' });
    for (const text of ['', 'ref: /etc/passwd', 'ref: refs/heads/../../../etc/passwd', 'HEAD'])
      expect(headOfGit(text)).toBeUndefined();
    expect(packedCommit(`# pack-refs\n${two} refs/heads/other\n${one} refs/heads/main\n`, 'refs/heads/main')).toBe(one);
  });
});

describe('what the active has deployed', () => {
  it.each([undefined, null, 'text', [], {}, { environments: null }, { environments: 'x' }, { environments: [one] }])(
    'of %j is nothing',
    (value) => {
      expect(parseDeployedCode(JSON.stringify(value) ?? '{')).toEqual({});
    },
  );

  it('has names and commits that a shell may be given, and nothing else', () => {
    const environments = { production: one, '$(reboot)': one, '-x': one, A: one, dev_1: '; reboot', '': two };
    expect(parseDeployedCode(JSON.stringify({ format: 1, environments }))).toEqual({ production: one });
  });

  it('differs where the spare has another commit, or none; what the spare has besides is its own', () => {
    const active = { production: one, dev: one, new: one };
    expect(codeDifferences(active, { production: one, dev: two, old: two })).toEqual([
      { name: 'dev', commit: one, here: two },
      { name: 'new', commit: one },
    ]);
  });
});

describe('hooks are told of code', () => {
  const [active, differences] = [{ production: one }, codeDifferences({ production: one }, {})];
  const told = { active, at: 0 };
  it.each([
    ['at first', undefined, active, differences, 5, true],
    ['when the active has deployed something else', told, { production: two }, differences, 5, true],
    ['again after an hour, while it differs', told, active, differences, 3_600_000, true],
    ['not before', told, active, differences, 3_599_999, false],
    ['not when nothing differs any more', told, { production: two }, [], 5, false],
  ] as const)('%s', (_, before, now, differ, at, is) => {
    expect(isCodeNews(before, now, differ, at)).toBe(is);
  });
});
