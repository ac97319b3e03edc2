import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  forgotten,
  hear,
  heardAccepts,
  isKnownLine,
  isOfKeys,
  isOldLine,
  parseKeyMessage,
  type KeyWords,
  type PeerState,
  type Rotation,
} from '../../src/rules/rotation.ts';

/** One master as a model: a pairing line stands for its two keys, and is its own id. Each field is on disk by itself. */
interface Side {
  readonly name: string;
  made: number;
  signing: string;
  transfer: string;
  rotation: Rotation | undefined;
  known: PeerState;
  authorized: readonly string[];
  gate: readonly string[];
}

interface Letter {
  readonly signedWith: string;
  readonly words: KeyWords;
}

interface World {
  readonly sides: readonly [Side, Side];
  /** To each side; nothing leaves it, so letters come late, twice, out of order, or never. */
  readonly letters: readonly [Letter[], Letter[]];
}

const linesOf = ({ line, next }: PeerState): string[] => (next === undefined ? [line] : [line, next]);
const side = (name: string, other: string): Side => ({
  ...{ name, made: 1, signing: `${name}1`, transfer: `${name}1`, rotation: undefined },
  ...{ known: { line: `${other}1` }, authorized: [`${other}1`], gate: [`${other}1`] },
});
const world = (): World => ({ sides: [side('a', 'b'), side('b', 'a')], letters: [[], []] });

function wordsOf({ rotation, gate, signing }: Side): KeyWords {
  const pairing = rotation?.stage === 'switched' ? signing : rotation?.to;
  return { accepts: gate, ...(pairing === undefined ? {} : { next: { pairing, proof: 'good' } }) };
}

function hearLetter(me: Side, letter: Letter | undefined): void {
  if (letter === undefined || !linesOf(me.known).includes(letter.signedWith)) return;
  me.known = hear(me.known, letter.words, letter.signedWith === me.known.next, 'now');
  if (me.rotation === undefined) return;
  const now = heardAccepts(me.rotation, letter.words.accepts ?? [], 'now');
  me.rotation = now === 'over' ? undefined : now;
}

/** Each of these is one write to a disk: a crash is that nothing follows, and whoever starts again goes on with any of them. */
const steps = {
  begin: ({ sides }: World, at: number): void => {
    const me = sides[at === 0 ? 0 : 1];
    if (me.rotation !== undefined) return;
    const to = `${me.name}${(me.made += 1)}`;
    me.rotation = { stage: 'told', from: me.signing, to, at: 'now' };
  },
  write: ({ sides, letters }: World, at: number): void => {
    const me = sides[at === 0 ? 0 : 1];
    if (me.rotation?.stage === 'switching') return; // nothing is signed before all files are exchanged
    letters[at === 0 ? 1 : 0].push({ signedWith: me.signing, words: wordsOf(me) });
  },
  read: ({ sides, letters }: World, at: number, pick: number): void => {
    const mine = letters[at === 0 ? 0 : 1];
    hearLetter(sides[at === 0 ? 0 : 1], mine[mine.length === 0 ? 0 : mine.length - 1 - (pick % mine.length)]);
  },
  forget: ({ sides }: World, at: number): void => {
    const me = sides[at === 0 ? 0 : 1];
    me.known = forgotten(me.known, new Date());
  },
  authorize: ({ sides }: World, at: number): void => {
    const me = sides[at === 0 ? 0 : 1];
    me.authorized = linesOf(me.known);
  },
  openGate: ({ sides }: World, at: number): void => {
    const me = sides[at === 0 ? 0 : 1];
    if (String(me.authorized) === String(linesOf(me.known))) me.gate = me.authorized;
  },
  switch: ({ sides }: World, at: number): void => {
    const me = sides[at === 0 ? 0 : 1];
    const open = me.rotation;
    if (open?.stage === 'acknowledged') me.rotation = { ...open, stage: 'switching' };
    if (open?.stage !== 'switching') return;
    if (me.signing !== open.to) me.signing = open.to;
    else if (me.transfer !== open.to) me.transfer = open.to;
    else me.rotation = { ...open, stage: 'switched' };
  },
};
type Step = keyof typeof steps;

/** Whom the other side shuts out now, and where; nothing: nobody. */
function shutOut({ sides }: World): string[] {
  return [sides, [sides[1], sides[0]] as const].flatMap(([me, other]) => [
    ...(linesOf(other.known).includes(me.signing) ? [] : [`${other.name}'s root does not believe ${me.signing}`]),
    ...(other.gate.includes(me.signing) ? [] : [`${other.name}'s gate does not answer ${me.signing}`]),
    ...(other.gate.includes(me.transfer) ? [] : [`${other.name}'s gate does not know the login ${me.transfer}`]),
    ...(other.authorized.includes(me.transfer) ? [] : [`${other.name}'s sshd does not let in ${me.transfer}`]),
  ]);
}

interface Taken {
  readonly step: Step;
  readonly at: number;
  readonly pick: number;
}

const goingOn = (Object.keys(steps) as Step[]).filter((step) => step !== 'begin');
const everyStep: readonly Taken[] = goingOn.flatMap((step) => [0, 1].map((at) => ({ step, at, pick: 0 })));
const oneStep = fc.record({
  step: fc.constantFrom(...(Object.keys(steps) as Step[])),
  at: fc.nat(1),
  pick: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(20) }),
});
/** Steps in any order, and now and then each of them once, so that changes also come to their end. */
const life = fc
  .array(
    fc.oneof({ weight: 9, arbitrary: oneStep.map((step) => [step]) }, { weight: 1, arbitrary: fc.constant(everyStep) }),
    { maxLength: 200, size: 'max' },
  )
  .map((parts) => parts.flat());

describe('two masters that change their keys, at once and again', () => {
  it('let each other in at every moment, whatever is interrupted, late, lost, repeated or out of order', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(life, (taken) => {
        const now = world();
        for (const { step, at, pick } of taken) {
          steps[step](now, at, pick);
          const out = shutOut(now);
          if (out.length > 0) throw new Error(`after ${step} of ${now.sides[at]?.name ?? ''}: ${out.join(', ')}`);
          for (const { made, rotation } of now.sides)
            seen.add(`${made > 2 ? 'again ' : ''}${rotation?.stage ?? 'none'}`);
        }
      }),
      { numRuns: 2_000, seed: 4 },
    );
    expect([...seen]).toEqual(
      expect.arrayContaining(['told', 'switched', 'again told', 'again switched', 'again none']),
    );
  });

  it('come to an end from every state, with the next keys alone', () => {
    fc.assert(
      fc.property(life, (taken) => {
        const now = world();
        for (const { step, at, pick } of taken) steps[step](now, at, pick);
        for (let round = 0; round < 30; round += 1) for (const { step, at } of everyStep) steps[step](now, at, 0);
        for (const [me, other] of [now.sides, [now.sides[1], now.sides[0]] as const]) {
          expect(me.rotation).toBeUndefined();
          expect([me.signing, me.transfer]).toEqual([`${me.name}${me.made}`, `${me.name}${me.made}`]);
          expect([other.known.line, other.gate, other.authorized]).toEqual([me.signing, [me.signing], [me.signing]]);
        }
      }),
      { numRuns: 500, seed: 4 },
    );
  });
});

describe('the line in a fact', () => {
  const changed = forgotten({ line: 'old', next: 'new', used: 'now' }, new Date('2026-01-02T03:04:00Z'));

  it('that the named master replaced itself is known as an old one; any other is the word of an admin', () => {
    expect(changed).toMatchObject({ line: 'new', was: ['old'] });
    expect(changed.ends).toEqual({ before: '2026-01-02T03:04:05.000Z', by: '2026-01-02T09:04:00.000Z' });
    expect(['old', 'new', 'third'].map((line) => isKnownLine(changed, line))).toEqual([true, true, false]);
    expect(['old', 'new', 'third'].map((line) => isOldLine(changed, line))).toEqual([true, false, false]);
  });

  it('that is the next one already is a known one', () => {
    expect(isKnownLine({ line: 'old', next: 'new' }, 'new')).toBe(true);
    expect(isOldLine({ line: 'old', next: 'new' }, 'new')).toBe(false);
  });
});

describe('a change of keys that stands in the state', () => {
  const change: Rotation = { stage: 'told', from: 'old', to: 'next', at: 'now' };
  it.each([
    ['goes on with the keys with which it began', change, 'old', true, true],
    ['is over when the next ones were moved away', change, 'old', false, false],
    ['is over when other keys were made meanwhile', change, 'third', true, false],
    ['goes on in the middle of the exchange', { ...change, stage: 'switching' as const }, 'mixed', false, true],
    ['waits with the next keys in use', { ...change, stage: 'switched' as const }, 'next', false, true],
    ['is over when others were made after it', { ...change, stage: 'switched' as const }, 'third', false, false],
  ])('%s', (_, rotation, used, hasNext, goesOn) => {
    expect(isOfKeys(rotation, used, hasNext)).toBe(goesOn);
  });
});

describe('words on keys', () => {
  it('take nothing back: once the next keys are used, no other ones are taken for them', () => {
    const used = hear({ line: 'old', next: 'new' }, {}, true, 'now');
    expect(hear(used, { next: { pairing: 'third', proof: 'good' } }, false, 'later')).toBe(used);
  });

  it('from a master that told no next keys leave nothing behind', () => {
    expect(hear({ line: 'old' }, {}, true, 'now')).toEqual({ line: 'old' });
  });

  it('of another kind are nothing to say, and malformed ones are refused', () => {
    expect(parseKeyMessage({ kind: 'weather' })).toBeUndefined();
    const message = { format: 1, kind: 'keys', source: 'a', target: 'b' };
    expect(parseKeyMessage({ ...message, more: 1 })).toEqual(message);
    for (const wrong of [{ format: 2 }, { accepts: ['x'] }, { accepts: 'all' }, { next: 'line' }, { source: 1 }])
      expect(() => parseKeyMessage({ ...message, ...wrong })).toThrow('message refused');
  });
});
