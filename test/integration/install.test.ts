import { chownSync, readFileSync, rmSync } from 'node:fs';
import { userInfo } from 'node:os';
import { expect, it } from 'vitest';
import { createAgentPair } from '../helpers/agents.ts';
import { pathsBelow } from '../helpers/pair.ts';

const again = ['install', '--active', '--passive-master', '127.0.0.1'];

it('an installation that was killed between the two files of a key is finished by the next one', async () => {
  await using pair = await createAgentPair();
  const path = `${pathsBelow(pair.a.root).keys.transfer}.pub`;
  const key = readFileSync(path, 'utf8').split(' ').slice(0, 2).join(' ');
  rmSync(path);
  expect(pair.a.command(...again).output).toContain(`${key} pe-failover:mastera.test:`);
  expect(pair.a.command(...again).output).toContain('Nothing to change');
});

it('a run directory of another user is refused, not used', async (context) => {
  if (userInfo().uid !== 0) context.skip('only root may give a directory away');
  await using pair = await createAgentPair();
  const { run } = pathsBelow(pair.b.root);
  chownSync(run, 12_345, 0);
  const { code, output } = pair.b.command('status');
  chownSync(run, 0, 0);
  expect({ code, output }).toMatchObject({
    code: 78,
    output: expect.stringContaining('belongs to another user') as string,
  });
});
