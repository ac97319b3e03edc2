import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startOwnSpare } from '../helpers/own-spare.ts';

/** Another version than this machine's: scripts/setup fetches it where the distribution has one. */
const other = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'pe-failover-rsync/usr/bin/rsync');
const versionOf = (rsync: string): string | undefined =>
  /version (\S+)/.exec(spawnSync(rsync, ['--version'], { encoding: 'utf8' }).stdout)?.[1];

it('pushes pass between all versions of rsync that are here, each way, plain and as a dump against the last one', async (context) => {
  const isThere = existsSync(other);
  if (isThere) {
    expect(versionOf(other)).toMatch(/^\d/);
    expect(versionOf(other)).not.toBe(versionOf('rsync'));
  }
  await using spare = await startOwnSpare(context, { name: 'sshd', usePam: 'no' });
  const { own, drop } = spare;
  const active = await spare.login();
  own.sh('cp /usr/bin/rsync /run/own-rsync');
  if (isThere) copyFileSync(other, own.path('/run/other-rsync'));
  mkdirSync(join(drop, 'deep/er'), { recursive: true });
  const content = randomBytes(300_000);
  let sequence = 0;
  for (const server of ['own-rsync', ...(isThere ? ['other-rsync'] : [])]) {
    own.sh(`install -m 755 /run/${server} /usr/bin/rsync`);
    for (const rsync of ['rsync', ...(isThere ? [other] : [])])
      for (const bulk of [false, true, true]) {
        sequence += 1;
        content.write(`change ${sequence}`, 150_000);
        writeFileSync(join(drop, 'manifest.json'), `{"sequence":${sequence}}`);
        writeFileSync(join(drop, 'deep/er/file'), content);
        const { code, output } = await active.push(sequence, { bulk, rsync }).ended;
        expect(code, `${rsync} to ${server}: ${output}`).toBe(0);
        expect(output).toContain('"published":true');
        // Root takes it away and refuses it: it is no drop. What arrived last is the basis of the next dump.
        if (!bulk) continue;
        const basis = own.path('/var/lib/pe_failover/inbox/sync-files/basis');
        expect(readFileSync(join(basis, 'deep/er/file')).equals(content)).toBe(true);
        expect(readFileSync(join(basis, 'manifest.json'), 'utf8')).toBe(`{"sequence":${sequence}}`);
      }
  }
}, 120_000);
