import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, open, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/system/clock.ts';
import { followRole, readRole, type FactOptions, type JudgedFact } from '../../src/system/fact.ts';
import { watchDirectory } from '../../src/system/watch.ts';

let top: string;
let path: string;
let session: AbortController;
let following: Promise<void>;
let roles: string[];
let wake: () => void;

const active = 'pe_failover_mode: active\npe_failover_passive_master: masterb\n';
const passive = 'pe_failover_mode: passive\n';

beforeEach(async () => {
  top = await mkdtemp(join(tmpdir(), 'fact-test-'));
  await mkdir(join(top, 'facts.d'));
  path = join(top, 'facts.d', 'pe_failover.yaml');
  session = new AbortController();
  roles = [];
  following = Promise.resolve();
});
afterEach(async () => {
  session.abort();
  await following;
  await rm(top, { recursive: true });
});

function follow(options: Partial<FactOptions> = {}): void {
  const onRole = ({ role }: JudgedFact): void => {
    roles.push(role.role);
    wake();
  };
  following = followRole({ path, clock: systemClock, watch: watchDirectory, onRole, ...options }, session.signal);
}

async function until(...expected: string[]): Promise<void> {
  while (roles.length < expected.length) await new Promise<void>((resolve) => (wake = resolve));
  expect(roles).toEqual(expected);
}

const editors: Record<string, (text: string) => Promise<void>> = {
  'in place': (text) => writeFile(path, text),
  'by rename': async (text) => {
    await writeFile(`${path}.swp`, text);
    await rename(`${path}.swp`, path);
  },
  'by moving the old one away first': async (text) => {
    await rename(path, `${path}~`);
    await writeFile(path, text);
  },
  'through a link': async (text) => {
    await writeFile(join(top, 'real.yaml'), text);
    await rm(path);
    await symlink(join(top, 'real.yaml'), path);
  },
  'as puppet and sed do': async (text) => {
    await writeFile(join(top, 'facts.d', '.tmp20261121-1-abc'), text, { mode: 0o600 });
    execFileSync('mv', [join(top, 'facts.d', '.tmp20261121-1-abc'), path]);
  },
  'with its directory removed and made again': async (text) => {
    await rm(join(top, 'facts.d'), { recursive: true });
    await mkdir(join(top, 'facts.d'));
    await writeFile(path, text);
  },
};

describe('the fact file', () => {
  it.each(Object.keys(editors))('edited %s is followed', async (how) => {
    await writeFile(path, passive);
    follow();
    await until('passive');
    await editors[how]?.(active);
    await until('passive', 'active');
    await writeFile(path, passive);
    await until('passive', 'active', 'passive');
  });

  it('caught half-written suspends nothing', async () => {
    await writeFile(path, passive);
    follow();
    await until('passive');
    const handle = await open(path, 'w');
    await handle.write('pe_failover_mo');
    await new Promise((resolve) => setTimeout(resolve, 100)); // within the 200 ms in which two reads must agree
    await handle.write('de: active\n');
    await handle.close();
    await until('passive', 'active');
  });

  it('is followed by looking each second where no watch is possible', async () => {
    await writeFile(path, passive);
    const deaf = { ready: Promise.resolve(), close: async () => undefined };
    follow({ watch: () => deaf });
    await until('passive');
    await writeFile(path, active);
    await until('passive', 'active');
  });

  it('that is removed suspends, and coming back ends that', async () => {
    await writeFile(path, active);
    follow();
    await until('active');
    await rm(path);
    await until('active', 'suspended');
    await writeFile(path, active);
    await until('active', 'suspended', 'active');
  });

  it('rewritten with the same content is no change of role', async () => {
    await writeFile(path, active);
    follow();
    await until('active');
    await writeFile(path, `# by puppet\n${active}`);
    await writeFile(path, active);
    await rm(path);
    await until('active', 'suspended');
  });

  it('gets back group and mode within 2 s when an editor changed them', async () => {
    const gid = process.getuid?.() === 0 ? 12_345 : (process.getgid?.() ?? 0);
    await writeFile(path, active);
    follow({ keep: { gid, mode: 0o640 } });
    await until('active');
    await editors['by rename']?.(`${active}\n`);
    await chmod(path, 0o666);
    const deadline = performance.now() + 2000;
    let found = await stat(path);
    while ((found.gid !== gid || (found.mode & 0o777) !== 0o640) && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      found = await stat(path);
    }
    expect([found.gid, found.mode & 0o777]).toEqual([gid, 0o640]);
  });

  it.each([
    ['a: [', 'not YAML'],
    ['pe_failover_mode: active\npe_failover_mode: passive\n', 'not YAML'],
    ['pe_failover_mode: !!binary x\n', 'pe_failover_mode'],
    [`a: ${'x'.repeat(70_000)}`, 'over 64 kB'],
    ['pe_failover_mode: &a [*a]\n', 'suspended'],
  ])('with %j suspends and says why', async (text, why) => {
    await writeFile(path, text);
    expect(JSON.stringify(await readRole(path))).toContain(why);
    expect((await readRole(path)).role.role).toBe('suspended');
  });

  it('replaced by a pipe or a directory suspends and does not hang', async () => {
    execFileSync('mkfifo', [path]);
    expect((await readRole(path)).role).toMatchObject({
      role: 'suspended',
      why: expect.stringContaining('regular') as string,
    });
    await rm(path);
    await mkdir(path);
    expect((await readRole(path)).role).toMatchObject({ role: 'suspended' });
  });
});
