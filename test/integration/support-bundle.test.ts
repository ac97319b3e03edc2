import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAgentPair, filesOnly, placed, secretOf, startBoth, type AgentPair } from '../helpers/agents.ts';
import { pathsBelow } from '../helpers/pair.ts';

const secrets = {
  file: 'content-of-a-secret-file',
  token: 'token-of-the-console-1',
  deadman: 'uuid-of-the-dead-man-url',
  witness: 'password-of-the-witness',
  hook: 'secret-of-a-chat-hook',
  fact: 'another-secret-fact-here',
  row: 'row-of-a-person-called-alice',
  key: 'key-of-a-failing-row-2',
};

const config = (root: string): string => `${filesOnly()}peer_address: 127.0.0.1
classifier: {auth: token, token_file: ${join(root, 'etc/puppetlabs/rbac-token')}}
deadman: {url: "https://127.0.0.1:1/ping/${secrets.deadman}"}
witness: {command: [/bin/true, --password, ${secrets.witness}, "https://chat.example.com/${secrets.hook}"]}
`;

let pair: AgentPair;
let home: string;
beforeAll(async () => {
  pair = await createAgentPair(config);
  home = mkdtempSync(join(tmpdir(), 'pe-failover-bundle-'));
  await startBoth(pair);
  const { root, fact } = pair.b;
  const { events, journal, state } = pathsBelow(root);
  writeFileSync(secretOf(pair.a), secrets.file);
  await pair.b.says(placed);
  mkdirSync(dirname(join(root, 'etc/puppetlabs/rbac-token')), { recursive: true });
  writeFileSync(join(root, 'etc/puppetlabs/rbac-token'), secrets.token);
  appendFileSync(fact, `other_fact: ${secrets.fact}\n`);
  const said = [
    `ERROR: invalid input syntax for type integer: "${secrets.row}"`,
    `DETAIL: Key (login)=(${secrets.key}) already exists.`,
    `GET https://127.0.0.1:1/ping/${secrets.deadman} with ${secrets.token}, ${secrets.witness} and ${secrets.hook}`,
    secrets.file,
  ];
  const lines = said.map((why) =>
    JSON.stringify({ at: new Date().toISOString(), job: 'db-dump', event: 'error', why }),
  );
  appendFileSync(events, `${lines.join('\n')}\n`);
  writeFileSync(join(journal, 'sync-x.jsonl'), `${lines.join('\n')}\n`);
  writeFileSync(join(state, 'vanished.json'), JSON.stringify({ format: 1, paths: {}, said }));
}, 60_000);
afterAll(async () => {
  rmSync(home, { recursive: true, force: true });
  await pair[Symbol.asyncDispose]();
});

/** All texts of a bundle, by name. */
function unpack(file: string): Map<string, string> {
  const to = mkdtempSync(join(home, 'unpacked-'));
  expect(spawnSync('tar', ['-xzf', file, '-C', to]).status).toBe(0);
  const names = readdirSync(to, { recursive: true, encoding: 'utf8' }).filter((name) =>
    statSync(join(to, name)).isFile(),
  );
  return new Map(names.map((name) => [name.replace(/^[^/]*\//, ''), readFileSync(join(to, name), 'latin1')]));
}

const middleOf = (path: string): string => readFileSync(path, 'utf8').split('\n').at(-3) ?? '';

describe('a support bundle', () => {
  it('has what a report of a mistake needs, for root alone, and none of the secrets that are planted wherever they can be', () => {
    const { b } = pair;
    const file = join(home, 'bundle.tar.gz');
    const { code, output } = b.command('support-bundle', '-o', file);
    expect([code, output]).toEqual([0, expect.stringContaining(`${file}: `)]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const texts = unpack(file);
    for (const name of [
      'about.txt',
      'config.json',
      'fact.txt',
      'status.txt',
      'status-json.txt',
      'check.txt',
      'events.jsonl',
    ])
      expect([...texts.keys()]).toContain(name);
    expect(texts.get('status-json.txt')).toContain('"role": "passive"');
    expect(texts.get('fact.txt')).toContain('pe_failover_mode: passive');
    expect(texts.get('config.json')).toContain('"https://127.0.0.1:1"');
    expect(texts.get('listing.txt')).toMatch(/-rw------- \S+ \S+ +\d+ \S+ \S+\/state\/epoch\.json/);
    expect([...texts.keys()].some((name) => name.startsWith('receipts/'))).toBe(true);
    expect([...texts.keys()].some((name) => name.startsWith('journal/'))).toBe(true);
    const { keys } = pathsBelow(b.root);
    const all = {
      ...secrets,
      transfer: middleOf(keys.transfer),
      signing: readFileSync(keys.signing, 'utf8').split('\n')[1] ?? '',
    };
    const found = Object.entries(all).flatMap(([what, secret]) =>
      [...texts].filter(([, text]) => text.includes(secret)).map(([name]) => `${what} in ${name}`),
    );
    expect(Object.values(all).every((secret) => secret.length >= 16)).toBe(true);
    expect(found).toEqual([]);
  }, 60_000);

  it('is not written over another file, and leaves nothing where it cannot be written', () => {
    const { b } = pair;
    const there = join(home, 'there');
    writeFileSync(there, 'mine');
    expect(b.command('support-bundle', '-o', there)).toMatchObject({ code: 75 });
    expect(readFileSync(there, 'utf8')).toBe('mine');
    expect(b.command('support-bundle', '-o', '/nonexistent/x.tar.gz')).toMatchObject({ code: 78 });
    expect(readdirSync(pathsBelow(b.root).work).filter((name) => name.startsWith('support-'))).toEqual([]);
  }, 60_000);
});
