import fc from 'fast-check';
import { expect, test } from 'vitest';
import { planCa, type CaAction, type CaPlanInput } from '../../src/rules/ca-plan.ts';
import { decideCrls } from '../../src/rules/crl.ts';
import { missingLines } from '../../src/rules/inventory.ts';
import { formatSerial, raiseSerial } from '../../src/rules/serial.ts';

/** A CA in a nutshell: certificate name to serial. */
interface World {
  serial: bigint;
  readonly inventory: string[];
  readonly signed: Map<string, bigint>;
  readonly revoked: Set<bigint>;
}

const names = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const history = fc.array(fc.record({ act: fc.constantFrom('sign', 'revoke', 'clean', 'delete'), name: names }), {
  maxLength: 12,
});

const line = (serial: bigint, name: string): string => `0x${formatSerial(serial)} x y /CN=${name}`;
const copy = (world: World): World => ({
  serial: world.serial,
  inventory: [...world.inventory],
  signed: new Map(world.signed),
  revoked: new Set(world.revoked),
});

function live(world: World, events: readonly { act: string; name: string }[]): World {
  const next = copy(world);
  for (const { act, name } of events) {
    const serial = next.signed.get(name);
    if (act === 'sign') {
      next.inventory.push(line(next.serial, name));
      next.signed.set(name, next.serial);
      next.serial += 1n;
    }
    if (serial !== undefined && (act === 'revoke' || act === 'clean')) next.revoked.add(serial);
    if (act === 'clean' || act === 'delete') next.signed.delete(name);
  }
  return next;
}

const path = (name: string): string => `signed/${name}.pem`;
const hashes = (world: World) => new Map([...world.signed].map(([name, serial]) => [path(name), `sha-${serial}`]));
const crl = ({ revoked }: World) => ({
  issuer: 'ca',
  number: BigInt(revoked.size),
  revoked: new Map([...revoked].map((serial) => [serial, ''])),
});

function inputOf(accepted: World, active: World, spare: World, canSign: boolean): CaPlanInput {
  const [before, after, there] = [hashes(accepted), hashes(active), hashes(spare)];
  return {
    accepted: (name) => before.get(name),
    live: (name) => there.get(name),
    incoming: [...after].map(([name, sha256]) => ({ path: name, sha256 })),
    deleted: [...before.keys()].filter((name) => !after.has(name)),
    bad: new Map(),
    held: new Set(),
    serial: raiseSerial({ live: spare.serial, theirs: active.serial, issued: [] }),
    inventory: missingLines(spare.inventory.join('\n') + '\n', active.inventory),
    crls: decideCrls({
      accepted: [crl(accepted)],
      incoming: [crl(active)],
      live: [crl(spare)],
      expired: () => false,
      canSign: () => canSign,
    }),
  };
}

function perform(world: World, action: CaAction, accepted: World, active: World): void {
  const nameOf = (file: string): string => file.slice(7, -4);
  if (action.kind === 'serial') world.serial = action.value;
  if (action.kind === 'inventory') world.inventory.push(...action.lines);
  if (action.kind === 'certificate')
    world.signed.set(nameOf(action.path), active.signed.get(nameOf(action.path)) ?? 0n);
  if (action.kind === 'remove') world.signed.delete(nameOf(action.path));
  if (action.kind !== 'crl' || action.issuers[0]?.use === 'live') return;
  const union = action.issuers[0]?.use === 'union' ? [...world.revoked, ...accepted.revoked] : [];
  world.revoked.clear();
  for (const serial of [...union, ...active.revoked]) world.revoked.add(serial);
}

const problemsOf = (world: World): string[] =>
  [...world.signed].flatMap(([name, serial]) => [
    ...(serial < world.serial ? [] : [`${name} lies above the serial`]),
    ...(world.inventory.includes(line(serial, name)) ? [] : [`${name} is not in the inventory`]),
  ]);

const empty: World = { serial: 1n, inventory: [], signed: new Map(), revoked: new Set() };
const scene = fc.record({ first: history, then: history, own: history, canSign: fc.boolean() });
function play({
  first,
  then,
  own,
  canSign,
}: {
  first: typeof then;
  then: { act: string; name: string }[];
  own: typeof then;
  canSign: boolean;
}) {
  const accepted = live(empty, first);
  const spare = live({ ...accepted, serial: accepted.serial + 100_000n }, own);
  const active = live(accepted, then);
  return { accepted, active, spare, plan: planCa(inputOf(accepted, active, spare, canSign)) };
}

test('every prefix of the actions is a valid CA that forgets nothing', () => {
  fc.assert(
    fc.property(scene, (input) => {
      const { accepted, active, spare, plan } = play(input);
      const world = copy(spare);
      for (const action of plan.actions) {
        perform(world, action, accepted, active);
        expect(problemsOf(world)).toEqual([]);
        expect(world.serial).toBeGreaterThanOrEqual(spare.serial);
        expect([...spare.revoked].filter((serial) => !world.revoked.has(serial))).toEqual([]);
        expect(spare.inventory.filter((entry) => !world.inventory.includes(entry))).toEqual([]);
      }
    }),
  );
});

test("afterwards the active's certificates are live, its inventory is there, and where the key is, so are its revocations", () => {
  fc.assert(
    fc.property(scene, (input) => {
      const { accepted, active, spare, plan } = play(input);
      const world = copy(spare);
      for (const action of plan.actions) perform(world, action, accepted, active);
      for (const [name, serial] of active.signed) expect(world.signed.get(name)).toBe(serial);
      expect(active.inventory.filter((entry) => !world.inventory.includes(entry))).toEqual([]);
      if (input.canSign) expect([...active.revoked].filter((serial) => !world.revoked.has(serial))).toEqual([]);
    }),
  );
});

test('what only the spare has is never removed', () => {
  fc.assert(
    fc.property(scene, (input) => {
      const { accepted, active, spare, plan } = play(input);
      const removed = plan.actions.filter((action) => action.kind === 'remove').map((action) => action.path);
      for (const [name, serial] of spare.signed) {
        if (accepted.signed.get(name) !== serial && !active.signed.has(name)) expect(removed).not.toContain(path(name));
      }
    }),
  );
});

test('applied twice, nothing is left to do for certificates', () => {
  fc.assert(
    fc.property(scene, (input) => {
      const { accepted, active, spare, plan } = play(input);
      const world = copy(spare);
      for (const action of plan.actions) perform(world, action, accepted, active);
      const again = planCa(inputOf(accepted, active, world, true));
      expect(
        again.actions.filter(({ kind }) => kind === 'certificate' || kind === 'remove' || kind === 'inventory'),
      ).toEqual([]);
    }),
  );
});
