/** How much of something may vanish at once before a person is asked. */
export interface BrakeLimits {
  /** Of all that was there, 0 to 1. */
  readonly share: number;
  readonly atLeast: number;
}

/** Both limits must be passed: a small site may lose most of little, a large one a little of much. */
export const isTooMuch = (gone: number, before: number, { share, atLeast }: BrakeLimits): boolean =>
  gone >= atLeast && gone > before * share;
