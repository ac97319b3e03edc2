import { createHmac, randomBytes } from 'node:crypto';

/** Tells whether two are the same, and nothing to who lacks the nonce: what is keyed may be short, or a password. */
export type Mac = (content: string | Uint8Array) => string;

/** 32 hexadecimal digits. */
export const macOf =
  (nonce: string): Mac =>
  (content) =>
    createHmac('sha256', nonce).update(content).digest('hex').slice(0, 32);

/** Of one comparison alone. */
export const newNonce = (): string => randomBytes(32).toString('hex');
