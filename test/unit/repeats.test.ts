import { describe, expect, it } from 'vitest';
import { failed, recovered, repeatEveryMs, type Told, type Trouble } from '../../src/rules/repeats.ts';
import { spokenDuration } from '../../src/rules/spoken.ts';

const refused: Told = { class: 'unreachable', cause: 'masterb.example.com refused the connection' };
const full: Told = { class: 'dependency', cause: 'no space left on device' };

function hear(told: readonly (readonly [Told, number])[]) {
  let trouble: Trouble | undefined;
  const said: (string | undefined)[] = [];
  for (const [what, at] of told) {
    const heard = failed(trouble, what, at);
    trouble = heard.trouble;
    said.push(heard.say);
  }
  return { trouble, said };
}

describe('repeated failures', () => {
  it('are said once, and again after 6 h with how often they came', () => {
    const { said } = hear([
      [refused, 0],
      [refused, 1000],
      [refused, 2000],
      [refused, repeatEveryMs],
      [refused, repeatEveryMs + 1000],
    ]);
    expect(said).toEqual(['', undefined, undefined, ' (3 times since it was last said)', undefined]);
  });

  it('of one file system without room are said once, whichever way it shows', () => {
    const where = '/var/lib/pe_failover';
    const { said } = hear([
      [{ class: 'dependency', cause: `disk is full (${where}). Free some space`, where }, 0],
      [{ class: 'dependency', cause: `too little space for the dump of pe-rbac (${where}): 0 B free`, where }, 1],
      [{ class: 'dependency', cause: 'disk is full (/). Free some space', where: '/' }, 2],
    ]);
    expect(said).toEqual(['', undefined, '']);
  });

  it('are said again when class or cause change, but two that take turns do not fill the log', () => {
    const { said } = hear([
      [refused, 0],
      [full, 1],
      [{ ...full, class: 'config' }, 2],
      [refused, 3],
      [full, 4],
    ]);
    expect(said).toEqual(['', '', '', undefined, undefined]);
  });

  it('count as one cause when only pids and times differ, and as two when the exit code does', () => {
    const rsync = (text: string): Told => ({ class: 'dependency', cause: text });
    const { said } = hear([
      [rsync('rsync 12345 failed with exit code 12 after 3.04 s'), 0],
      [rsync('rsync 54321 failed with exit code 12 after 7 s'), 1],
      [rsync('rsync 54321 failed with exit code 23 after 7 s'), 2],
    ]);
    expect(said).toEqual(['', undefined, '']);
  });

  it('count as one cause when only sizes differ: what is free changes all the time', () => {
    const room = (free: string): Told => ({
      class: 'dependency',
      cause: `too little space: ${free} free, 2.0 GB needed`,
    });
    expect(hear([[room('812 MB'), 0], [room('1.2 GB'), 1], [room('512 B'), 2]]).said).toEqual(['', undefined, undefined]); // prettier-ignore
  });

  it('of a host that is gone are one cause, whatever shows it, and two where two hosts are gone', () => {
    const gone = (cause: string, where: string): Told => ({ class: 'unreachable', cause, where });
    const { said } = hear([
      [gone('a push broke off', 'masterb.lab'), 0],
      [gone('timed out', 'masterb.lab:22'), 1],
      [gone('timed out', 'https://mastera.lab:4433/groups'), 2],
    ]);
    expect(said).toEqual(['', undefined, '']);
  });

  it('end with one line that says how long and how often', () => {
    const { trouble } = hear([
      [refused, 0],
      [full, 1000],
    ]);
    expect(recovered(trouble, 3_723_000)).toBe('works again after 1 h 2 min and 2 failures');
    expect(recovered(undefined, 5)).toBeUndefined();
  });

  it('forget nothing that grows without bound', () => {
    const { trouble } = hear(Array.from({ length: 500 }, (_, n) => [{ ...full, cause: `x${'y'.repeat(n)}` }, n]));
    expect(trouble?.causes.length).toBeLessThanOrEqual(20);
  });

  it('speaks durations in their two largest units', () => {
    const spoken = [0, 45_000, 60_000, 11_520_000, 90_061_000].map(spokenDuration);
    expect(spoken).toEqual(['0 s', '45 s', '1 min', '3 h 12 min', '1 d 1 h']);
  });
});
