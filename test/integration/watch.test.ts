import { spawnSync } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Failure } from '../../src/errors.ts';
import { watchDirectory, watchTree, type WatchListener, type Watching } from '../../src/system/watch.ts';

let top: string;
const open: Watching[] = [];

beforeEach(async () => {
  top = await mkdtemp(join(tmpdir(), 'watch-test-'));
});
afterEach(async () => {
  for (const watching of open.splice(0)) await watching.close();
  await rm(top, { recursive: true });
});

/** Keeps all that was told, and waits for what is to come. */
function hear() {
  const names = new Set<string>();
  const lost: string[] = [];
  const failures: Failure[] = [];
  let wake = (): void => undefined;
  const told = <T>(take: (value: T) => void) => {
    return (value: T): void => {
      take(value);
      wake();
    };
  };
  const listener: WatchListener = {
    changed: told((set: ReadonlySet<string>) => set.forEach((name) => names.add(name))),
    lost: told((why: string) => void lost.push(why)),
    failed: told((failure: Failure) => void failures.push(failure)),
  };
  const until = async (met: () => boolean): Promise<void> => {
    while (!met()) await new Promise<void>((resolve) => (wake = resolve));
  };
  // A watch may be opened once more after it was on again, and says so: what is written in between is the compare's.
  const untilTold = async (name: string): Promise<void> => {
    for (;;) {
      const before = lost.length;
      await writeFile(name, 'x');
      await until(() => names.has(name) || lost.length > before);
      if (names.has(name)) return;
    }
  };
  return { names, lost, failures, listener, until, untilTold };
}

async function on(watching: Watching): Promise<void> {
  open.push(watching);
  await watching.ready;
}

describe('a watched directory', () => {
  it('names what was written, renamed into it and removed', async () => {
    const signed = join(top, 'signed');
    await mkdir(signed);
    const heard = hear();
    await on(watchDirectory(signed, heard.listener));
    await writeFile(join(signed, 'a.pem123tmp'), 'x');
    await rename(join(signed, 'a.pem123tmp'), join(signed, 'a.pem'));
    await heard.until(() => heard.names.has(join(signed, 'a.pem')));
    heard.names.clear();
    await rm(join(signed, 'a.pem'));
    await heard.until(() => heard.names.has(join(signed, 'a.pem')));
    expect(heard.lost).toEqual([]);
  });

  it.each(['removed and made again', 'replaced by a rename', 'moved away by its parent'])(
    'that is %s is watched anew and counts as lost',
    async (how) => {
      const parent = join(top, 'ca');
      const signed = join(parent, 'signed');
      await mkdir(signed, { recursive: true });
      const heard = hear();
      await on(watchDirectory(signed, heard.listener, { pollMs: 50 }));
      if (how.startsWith('removed')) await rm(signed, { recursive: true });
      else if (how.startsWith('replaced')) await rename(signed, `${signed}.old`);
      else await rename(parent, `${parent}.old`);
      await mkdir(signed, { recursive: true });
      await heard.until(() => heard.lost.some((why) => why.includes('anew')));
      await heard.untilTold(join(signed, 'b.pem'));
      expect(heard.failures).toEqual([]);
    },
  );

  it('reached by a link is followed, also to another directory later', async () => {
    await mkdir(join(top, 'one'));
    await mkdir(join(top, 'two'));
    const link = join(top, 'ca');
    await symlink('one', link);
    const heard = hear();
    await on(watchDirectory(link, heard.listener, { pollMs: 50 }));
    await writeFile(join(top, 'one', 'serial'), '1');
    await heard.until(() => heard.names.has(join(link, 'serial')));
    await symlink('two', join(top, 'new'));
    await rename(join(top, 'new'), link);
    await heard.until(() => heard.lost.length > 0);
    await heard.untilTold(join(link, 'ca_crl.pem'));
  });

  it('that does not exist yet is watched as soon as it does', async () => {
    const later = join(top, 'later');
    const heard = hear();
    await on(watchDirectory(later, heard.listener, { pollMs: 50 }));
    await mkdir(later);
    await heard.until(() => heard.lost.length > 0);
    await heard.untilTold(join(later, 'x'));
  });

  it('in which 20,000 files were renamed while the loop was blocked says "lost"', async () => {
    const heard = hear();
    await on(watchDirectory(top, heard.listener));
    for (let n = 0; n < 20_000; n += 1) {
      writeFileSync(join(top, `${n}.tmp`), '');
      renameSync(join(top, `${n}.tmp`), join(top, `${n}.pem`));
    }
    await heard.until(() => heard.lost.length > 0);
    expect(heard.lost[0]).toContain('over 2000 events');
  });

  it('tells a burst of 500 whole', async () => {
    const heard = hear();
    await on(watchDirectory(top, heard.listener));
    for (let n = 0; n < 500; n += 1) {
      await writeFile(join(top, `${n}.tmp`), '');
      await rename(join(top, `${n}.tmp`), join(top, `${n}.pem`));
    }
    const all = Array.from({ length: 500 }, (_, n) => join(top, `${n}.pem`));
    await heard.until(() => heard.lost.length > 0 || all.every((name) => heard.names.has(name)));
  });

  it('on what is no directory at all waits without a word, and says when it cannot be read', async () => {
    await symlink('loop', join(top, 'loop'));
    const heard = hear();
    await on(watchDirectory(join(top, 'loop'), heard.listener, { pollMs: 20 }));
    await heard.until(() => heard.failures.length > 0);
    expect(heard.failures[0]?.message).toContain(join(top, 'loop'));
  });
});

describe('a limit of the kernel', () => {
  // A user namespace has limits of its own. Where none may be made, this is not tested.
  const limited = (limit: string, program: readonly string[]) => [
    '-Ur',
    'sh',
    '-c',
    `echo 0 > /proc/sys/user/${limit}; exec "$@"`,
    'sh',
    ...program,
  ];
  const possible = spawnSync('unshare', limited('max_inotify_watches', ['true'])).status === 0;

  it.skipIf(!possible).each([
    ['max_inotify_watches', 'max_user_watches'],
    ['max_inotify_instances', 'max_user_instances'],
  ])('%s is told once, with the sysctl to type', (limit, setting) => {
    const program = [process.execPath, join(import.meta.dirname, '../helpers/watch-program.ts'), top];
    const { stdout } = spawnSync('unshare', limited(limit, program), { encoding: 'utf8' });
    expect(stdout.trimEnd().split('\n').sort()).toEqual([
      expect.stringMatching(`^directory failed config .*Type: sysctl -w fs.inotify.${setting}=`),
      expect.stringMatching(`^tree failed config .*Type: sysctl -w fs.inotify.${setting}=`),
    ]);
  });
});

describe('a watched tree', () => {
  it('names what changes anywhere below, and files that are replaced', async () => {
    const tree = join(top, 'secrets');
    const file = join(top, 'keys.json');
    await mkdir(join(tree, 'deep'), { recursive: true });
    await writeFile(file, 'old');
    const heard = hear();
    await on(watchTree([tree, file], heard.listener, { pollMs: 50 }));
    await writeFile(join(tree, 'deep', 'a'), 'x');
    await heard.until(() => heard.names.has(join(tree, 'deep', 'a')));
    for (const round of ['1', '2', '3']) {
      heard.names.clear();
      heard.lost.length = 0;
      await writeFile(`${file}.new`, `new ${round}`);
      await rename(`${file}.new`, file);
      await heard.until(() => heard.names.has(file) || heard.lost.length > 0);
    }
  });

  it('that is removed and made again is watched anew and counts as lost', async () => {
    const tree = join(top, 'tree');
    await mkdir(tree);
    const heard = hear();
    await on(watchTree([tree], heard.listener, { pollMs: 50 }));
    await rm(tree, { recursive: true });
    await mkdir(tree);
    await heard.until(() => heard.lost.length > 0);
    await heard.untilTold(join(tree, 'x'));
  });
});
