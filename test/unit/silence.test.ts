import { describe, expect, it } from 'vitest';
import { repeatEveryMs } from '../../src/rules/repeats.ts';
import { listen, type Listening, type Look } from '../../src/rules/silence.ts';

const minute = 60_000;
const stream = (name: string, ageSeconds: number | undefined, doubt?: string): Look['components'][number] => ({
  stream: name,
  limitSeconds: 900,
  state: 'applied',
  why: '',
  ...(ageSeconds === undefined ? {} : { ageSeconds }),
  ...(doubt === undefined ? {} : { doubt }),
});
const look = (ages: Record<string, number | undefined>, extra: Partial<Look> = {}): Look => ({
  role: 'passive',
  components: Object.entries(ages).map(([name, age]) => stream(name, age)),
  peer: 'mastera.lab',
  isExplained: false,
  wall: 0,
  ...extra,
});

/** What is said at each of these looks, by their minutes; `wall` is how far the wall clock is ahead of these. */
function hear(looks: readonly (readonly [number, Look])[]): string[][] {
  let listening: Listening | undefined;
  return looks.map(([at, seen]) => {
    const heard = listen(listening, { ...seen, wall: at * minute + seen.wall }, at * minute);
    listening = heard.listening;
    return heard.lines.map(({ status, text }) => `${status} ${text}`);
  });
}

describe('a stream that nobody confirms', () => {
  it('is a FAILURE once its limit is over, naming age, limit and what to type, and a SUCCESS when that is over', () => {
    const said = hear([
      [0, look({ 'sync-certs': 5 })],
      [16, look({ 'sync-certs': 900 })],
      [17, look({ 'sync-certs': 960 })],
      [18, look({ 'sync-certs': 1020 })],
      [20, look({ 'sync-certs': 3 })],
      [38, look({ 'sync-certs': 4 })],
      [39, look({ 'sync-certs': 4 })],
      [40, look({ 'sync-certs': 4 })],
    ]);
    const failure =
      'FAILURE Nothing of sync-certs was confirmed for 16 min, the limit is 15 min. Here and on mastera.lab, type: pe-failover status';
    expect(said).toEqual([[], [], [failure], [], [], [], ['SUCCESS sync-certs is confirmed again after 18 min'], []]);
  });

  it('and comes a little late each time is one silence, which is over when it was heard for longer than its limit', () => {
    const late = Array.from({ length: 60 }, (_, n) => [n, look({ 'sync-certs': (n % 17) * 60 })] as const);
    const well = Array.from({ length: 30 }, (_, n) => [60 + n, look({ 'sync-certs': 30 })] as const);
    const said = hear([...late, ...well]).flatMap((lines, at) => lines.map((line) => `${at} ${line.slice(0, 7)}`));
    expect(said).toEqual(['16 FAILURE', '70 SUCCESS']);
  });

  it('and is paused is silent by permission, and has its whole limit when that is over', () => {
    const paused = (age: number): Look => look({}, { components: [{ ...stream('sync-certs', age), excused: true }] });
    const said = hear([
      [0, look({ 'sync-certs': 5 })],
      [20, paused(1200)],
      [120, paused(7200)],
      [121, look({ 'sync-certs': 7260 })],
      [134, look({ 'sync-certs': 8040 })],
      [136, look({ 'sync-certs': 8160 })],
    ]).flatMap((lines, at) => lines.map((line) => `${at} ${line.slice(0, 7)}`));
    expect(said).toEqual(['5 FAILURE']);
  });

  it('of hours is over when it was heard for twenty minutes', () => {
    const hours = (age: number): Look =>
      look({}, { components: [{ ...stream('db-dump.a', age), limitSeconds: 10_800 }] });
    const said = hear([
      [0, hours(5)],
      [200, hours(12_000)],
      [201, hours(5)],
      [220, hours(900)],
      [221, hours(900)],
    ]);
    expect(said.map((lines) => lines.length)).toEqual([0, 1, 0, 0, 1]);
  });

  it('is not over because this clock was set', () => {
    const said = hear([
      [0, look({ 'sync-certs': 5 })],
      [16, look({ 'sync-certs': 961 })],
      [17, look({ 'sync-certs': 0 }, { wall: -3_600_000 })],
      [18, look({ 'sync-certs': 1_081 })],
      [40, look({ 'sync-certs': 2_401 })],
    ]);
    expect(said.map((lines) => lines.length)).toEqual([0, 1, 0, 0, 0]);
  });

  it('is said again after six hours', () => {
    const hours = repeatEveryMs / minute;
    const said = hear([
      [0, look({ 'nc-dump': 5 })],
      [20, look({ 'nc-dump': 1200 })],
      [20 + hours - 1, look({ 'nc-dump': 20_000 })],
      [20 + hours, look({ 'nc-dump': 22_800 })],
    ]);
    expect(said.map((lines) => lines.length)).toEqual([0, 1, 0, 1]);
    expect(said[3]?.[0]).toContain('for 6 h 20 min');
  });

  it.each([
    ['forth', 3_600],
    ['back', -3_600],
  ])('is not said because this clock was set an hour %s: the limit begins anew, and is heeded again', (_, seconds) => {
    const wall = seconds * 1000;
    const said = hear([
      [0, look({ 'sync-certs': 5 })],
      [30, look({ 'sync-certs': 5 })],
      [31, look({ 'sync-certs': 3_665 }, { wall })],
      [45, look({ 'sync-certs': 4_505 }, { wall })],
      [47, look({ 'sync-certs': 4_625 }, { wall })],
    ]);
    expect(said.map((lines) => lines.length)).toEqual([0, 0, 0, 0, 1]);
  });

  it('is told apart from the others', () => {
    const said = hear([
      [0, look({ a: 5, b: 5 })],
      [16, look({ a: 901, b: 5 })],
      [17, look({ a: 5, b: 901 })],
      [36, look({ a: 5, b: 961 })],
    ]);
    expect(said.map((lines) => lines.map((line) => line.slice(0, 24)))).toEqual([
      [],
      ['FAILURE Nothing of a was'],
      ['FAILURE Nothing of b was'],
      ['SUCCESS a is confirmed a'],
    ]);
  });

  it('and never was is one as well, and so is one of which the time is not believed', () => {
    const doubted = look({}, { components: [stream('c', undefined, 'the clock was set back')] });
    expect(hear([[0, look({ a: undefined })], [16, look({ a: undefined })]])[1]?.[0]).toContain('nothing of it was ever confirmed'); // prettier-ignore
    expect(hear([[0, doubted], [16, doubted]])[1]?.[0]).toContain('how old c is: the clock was set back'); // prettier-ignore
  });
});

describe('the limit begins', () => {
  const old = { 'sync-certs': 90_000 };

  it('when somebody listens: an agent that starts after a long outage says nothing at once', () => {
    expect(hear([[0, look(old)], [15, look(old)], [16, look(old)]]).map((lines) => lines.length)).toEqual([0, 0, 1]); // prettier-ignore
  });

  it('anew with another role, and nothing is said of a role that was left', () => {
    const said = hear([
      [0, look(old)],
      [16, look(old)],
      [17, look(old, { role: undefined })],
      [18, look(old, { role: 'active' })],
      [30, look(old, { role: 'active' })],
      [34, look(old, { role: 'active' })],
    ]);
    expect(said.map((lines) => lines.length)).toEqual([0, 1, 0, 0, 0, 1]);
  });

  it('when the other master can be reached again: until then another FAILURE says why', () => {
    const gone = look(old, { role: 'active', isExplained: true });
    const said = hear([
      [0, look({ 'sync-certs': 5 }, { role: 'active' })],
      [60, gone],
      [119, gone],
      [120, look(old, { role: 'active' })],
      [122, look({ 'sync-certs': 1 }, { role: 'active' })],
    ]);
    expect(said.flat()).toEqual([]);
  });
});
