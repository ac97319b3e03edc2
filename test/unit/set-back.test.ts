import { describe, expect, it } from 'vitest';
import { isForked, isSetBack, mayUnite, setBackFailure, unites } from '../../src/rules/set-back.ts';

const epoch = { number: 3, id: '00c0ffee00c0ffee' };
const accepted = (sequence: number, id = epoch.id) => ({ epoch: { ...epoch, id }, sequence, digest: '' });

describe('drops that the spare has', () => {
  it.each([
    ['of a number that was never given out', accepted(6), true],
    ['of the last number', accepted(5), false],
    ['of a lower number', accepted(4), false],
    ['of another epoch', accepted(6, 'ffffffffffffffff'), false],
    ['none', undefined, false],
  ])('%s: set back is %s', (_, drop, is) => {
    expect(isSetBack({ epoch, sequence: 5 }, drop)).toBe(is);
  });
});

describe('a drop of a number of ours that the spare has', () => {
  const made = { epoch, sequence: 5 };
  const theirs = { ...accepted(5), digest: 'theirs' };
  it.each([
    ['with the same content', made, theirs, 'theirs', false],
    ['with another content', made, theirs, 'ours', true],
    ['with a content that is not known here any more', made, theirs, undefined, false],
    ['of another epoch', made, { ...theirs, epoch: { number: 2, id: epoch.id } }, 'ours', false],
    ['behind which the CA went on already', { ...made, setBack: { to: 5 } }, theirs, 'ours', false],
  ])('%s', (_, mine, drop, digest, is) => {
    expect(isForked(mine, drop, digest)).toBe(is);
  });

  it('is told as another one, with both ways out', () => {
    const { message } = setBackFailure('sync-files', 'masterb.lab', made, theirs);
    for (const word of [
      'forked or rolled back',
      'has drop 5',
      'of that number that was made here is another one',
      'To keep',
      'To replace',
    ])
      expect(message).toContain(word);
  });
});

describe('what this master lacks', () => {
  it.each([
    ['was never set back', undefined, 5, false],
    ['has not brought a drop since', { to: 7 }, 5, true],
    ['has brought one that was not made since', { to: 7 }, 7, true],
    ['has brought one since', { to: 7 }, 8, false],
    ['begins an epoch after it, and has brought none', { to: 0 }, undefined, true],
    ['has brought one in that epoch', { to: 0 }, 1, false],
  ])('was not removed, where it %s', (_, setBack, sequence, is) => {
    const acknowledged = sequence === undefined ? {} : { acknowledged: { sequence } };
    expect(unites({ epoch, sequence: 9, ...(setBack === undefined ? {} : { setBack }), ...acknowledged })).toBe(is);
  });
});

describe('a master that was set back', () => {
  it('goes on with its CA by itself, once an epoch, and with nothing else', () => {
    expect(mayUnite('sync-certs', { epoch, sequence: 5 })).toBe(true);
    expect(mayUnite('sync-certs', { epoch, sequence: 5, setBack: { to: 0 } })).toBe(true);
    expect(mayUnite('sync-certs', { epoch, sequence: 5, setBack: { to: 9 } })).toBe(false);
    expect(mayUnite('db-dump.pe-rbac', { epoch, sequence: 5 })).toBe(false);
  });

  it('is told both numbers and both ways out', () => {
    const failure = setBackFailure('nc-dump', 'masterb.lab', { epoch, sequence: 5 }, accepted(9));
    expect(failure.class).toBe('latched');
    for (const word of ['forked or rolled back', 'drop 9 of epoch 3.', 'made here is 5', 'To keep what', 'To replace'])
      expect(failure.message).toContain(word);
  });
});
