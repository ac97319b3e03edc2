import { createHash } from 'node:crypto';
import { Failure } from '../errors.ts';
import { kindOf } from './ca-paths.ts';
import { fieldsOf, type Refuse } from './fields.ts';
import { parseInventoryLine } from './inventory.ts';
import { pathProblem } from './manifest.ts';

/** A certificate that a spare signed or renewed itself while agents used it. */
export interface OwnCertificate {
  readonly certname: string;
  readonly pem: string;
}

export interface OwnRevocation {
  /** Name of the CA as DER in hexadecimal. */
  readonly issuer: string;
  /** Hexadecimal. */
  readonly serial: string;
  /** As it stands in a CRL: UTCTime or GeneralizedTime. */
  readonly date: string;
}

/** What a spare's CA has that the active's lacks. */
export interface OwnOfCa {
  readonly certificates: readonly OwnCertificate[];
  /** Lines of its inventory. */
  readonly inventory: readonly string[];
  readonly revocations: readonly OwnRevocation[];
}

/** What a spare's root signs for the active to adopt: purpose `made-here`. */
export interface MadeHere extends OwnOfCa {
  readonly format: 1;
  /** Certnames. */
  readonly source: string;
  readonly target: string;
  /** Spare's clock, ISO 8601. */
  readonly at: string;
  /** How many more there are: they follow when these are adopted. */
  readonly more: number;
  readonly program?: string;
}

/** An answer of the gate has at most 4 MB. */
const most = { certificates: 400, inventory: 4_000, revocations: 2_000 };

const sizeOf = ({ certificates, inventory, revocations }: OwnOfCa): number =>
  certificates.length + inventory.length + revocations.length;

export const isNothing = (own: OwnOfCa): boolean => sizeOf(own) === 0;

/** As much of it as one answer of the gate has room for. */
export function firstOf(own: OwnOfCa): OwnOfCa & Pick<MadeHere, 'more'> {
  const kept = {
    certificates: own.certificates.slice(0, most.certificates),
    inventory: own.inventory.slice(0, most.inventory),
    revocations: own.revocations.slice(0, most.revocations),
  };
  return { ...kept, more: sizeOf(own) - sizeOf(kept) };
}

/** Tells whether there is something new, without the whole. */
export const digestOfOwn = ({ certificates, inventory, revocations }: OwnOfCa): string =>
  `sha256:${createHash('sha256')
    .update(JSON.stringify([certificates, inventory, revocations]))
    .digest('hex')}`;

/** Throws `bad-data`. */
export function parseMadeHere(value: unknown): MadeHere {
  const refuse: Refuse = (where, why) => new Failure('bad-data', 'what the spare made is refused', { where, why });
  const field = fieldsOf(value, 'made-here', refuse);
  if (field.number('format') !== 1) throw refuse('made-here.format', 'is not 1');
  return {
    format: 1,
    source: field.text('source', 255),
    target: field.text('target', 255),
    at: field.text('at', 40),
    certificates: field.list('certificates', most.certificates).map((entry, n) => parseCertificate(entry, n, refuse)),
    inventory: field.list('inventory', most.inventory).map((line, n) => parseLine(line, n, refuse)),
    revocations: field.list('revocations', most.revocations).map((entry, n) => parseRevocation(entry, n, refuse)),
    more: field.count('more', 0),
    ...field.optionalText('program', 40),
  };
}

function parseCertificate(value: unknown, n: number, refuse: Refuse): OwnCertificate {
  const field = fieldsOf(value, `certificates[${n}]`, refuse);
  const isPath = (certname: string): boolean => {
    const path = `signed/${certname}.pem`;
    return pathProblem(path) === undefined && kindOf(path) === 'certificate';
  };
  return { certname: field.matching('certname', isPath), pem: field.text('pem', 64 * 1024) };
}

function parseLine(value: unknown, n: number, refuse: Refuse): string {
  // eslint-disable-next-line no-control-regex
  const isLine = typeof value === 'string' && value.length <= 1024 && !/[\u0000-\u001f\u007f]/.test(value);
  if (!isLine || !value.isWellFormed() || parseInventoryLine(value) === undefined)
    throw refuse(`inventory[${n}]`, 'is no line of an inventory');
  return value;
}

function parseRevocation(value: unknown, n: number, refuse: Refuse): OwnRevocation {
  const field = fieldsOf(value, `revocations[${n}]`, refuse);
  return {
    issuer: field.matching('issuer', (text) => /^([0-9a-f]{2}){1,512}$/.test(text)),
    serial: field.matching('serial', (text) => /^[0-9a-f]{1,40}$/.test(text)),
    // Goes into a file of openssl's, whose columns are tabs.
    date: field.matching('date', (text) => /^\d{12}(\d\d)?Z$/.test(text)),
  };
}
