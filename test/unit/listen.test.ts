import { describe, expect, it } from 'vitest';
import { parseListen } from '../../src/rules/listen.ts';

describe('where something listens', () => {
  it.each([
    ['127.0.0.1:8186', { host: '127.0.0.1', port: 8186 }],
    ['[::1]:8186', { host: '::1', port: 8186 }],
    ['mastera.example.com:1', { host: 'mastera.example.com', port: 1 }],
  ])('is read from %s', (text, listen) => expect(parseListen(text)).toEqual(listen));

  it.each([
    'off',
    '',
    ':8186',
    '8186',
    '127.0.0.1',
    '::1:8186',
    '[::1%eth0]:1',
    'a b:1',
    '$x:1',
    'a:0',
    'a:65536',
    'a:1x',
  ])('is not read from "%s"', (text) => expect(parseListen(text)).toBeUndefined());
});
