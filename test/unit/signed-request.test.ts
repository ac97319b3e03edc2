import { describe, expect, it } from 'vitest';
import { parseRequest } from '../../src/receiver/request.ts';
import { serverArguments } from '../../src/rules/push-options.ts';
import { requestText, withSignature } from '../../src/rules/signed-request.ts';

const nonce = 'ab'.repeat(16);
const value = `${'A/b+'.repeat(21)}Aw==`;
const push = `push sync-files 1.00c0ffee00c0ffee 1 sha256:${'0'.repeat(64)} ${nonce}`;
const server = serverArguments({ letters: 'iLsf', bulk: false }).join(' ');

describe('a signed request', () => {
  it.each([
    `status ${nonce}`,
    `receipts sync-certs 7 ${nonce}`,
    `receipts sync-certs 7 ${nonce} 30`,
    `export sync-certs ${nonce}`,
  ])('"%s" covers all of its words, and is read as without the signature', (words) => {
    const { signature, ...read } = parseRequest(withSignature(words, value));
    expect(signature).toEqual({ covers: words, value });
    expect(read).toEqual(parseRequest(words));
  });

  it('of a push covers what stands before the words of rsync', () => {
    const { signature, ...read } = parseRequest(`${withSignature(push, value)} ${server}`);
    expect(signature).toEqual({ covers: push, value });
    expect(read).toEqual(parseRequest(`${push} ${server}`));
  });

  it.each([
    ['words behind it', `${withSignature(`status ${nonce}`, value)} x`],
    ['two of them', withSignature(withSignature(`status ${nonce}`, value), value)],
    ['it before the nonce', `status signed:${value} ${nonce}`],
    ['it behind the words of rsync', withSignature(`${push} ${server}`, value)],
    ['what is no base64', withSignature(`status ${nonce}`, `${value.slice(0, -4)}*w==`)],
    ['half of it', withSignature(`status ${nonce}`, value.slice(0, 40))],
    ['one without end', withSignature(`status ${nonce}`, 'A'.repeat(300))],
  ])('with %s is refused', (_, text) =>
    expect(() => parseRequest(text)).toThrow('its signature is malformed, or not in its place'),
  );

  it('names the master that it is meant for, so that no word can be taken for it', () =>
    expect(requestText('status x', 'b.test')).toBe('status x\nfor b.test'));
});
