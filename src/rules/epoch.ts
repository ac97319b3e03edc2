/** A term of activity. A promotion takes the highest number seen plus one; the id tells two of the same number apart. */
export interface Epoch {
  readonly number: number;
  /** 16 hexadecimal digits. */
  readonly id: string;
}

const pattern = /^(0|[1-9]\d{0,8})\.([0-9a-f]{16})$/;

/** `NUMBER.ID`, as it stands in requests, file names and messages. */
export const formatEpoch = (epoch: Epoch): string => `${epoch.number}.${epoch.id}`;

export function parseEpoch(text: string): Epoch | undefined {
  const match = pattern.exec(text);
  return match === null ? undefined : { number: Number(match[1]), id: String(match[2]) };
}

export const sameEpoch = (a: Epoch, b: Epoch): boolean => a.number === b.number && a.id === b.id;

export const isEpoch = (value: unknown): value is Epoch =>
  typeof value === 'object' &&
  value !== null &&
  'number' in value &&
  'id' in value &&
  typeof value.number === 'number' &&
  typeof value.id === 'string' &&
  parseEpoch(`${value.number}.${value.id}`) !== undefined;

export type EpochOrder = 'same' | 'higher' | 'lower' | 'conflict';

/** How `theirs` stands to `ours`. Equal numbers with different ids are two promotions that did not know of each other. */
export function compareEpochs(theirs: Epoch, ours: Epoch): EpochOrder {
  if (theirs.number !== ours.number) return theirs.number > ours.number ? 'higher' : 'lower';
  return theirs.id === ours.id ? 'same' : 'conflict';
}
