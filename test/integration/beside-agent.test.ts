import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { exec } from '../../src/system/exec.ts';
import { createSshSession } from '../../src/system/ssh.ts';
import { createAgentPair, type AgentMaster } from '../helpers/agents.ts';
import { pathsBelow, startPair } from '../helpers/pair.ts';
import { processesWhere, until } from '../helpers/trees.ts';

const socketsOf = (run: string): string[] => readdirSync(run).filter((name) => name.startsWith('ssh-'));
const connections = (run: string): number[] => processesWhere(({ command }) => command.includes(`-S ${run}/ssh-`));
const secret = ({ root }: AgentMaster): string => join(root, 'etc/puppetlabs/secrets/key');

it('a check leaves the connections of the running agent alone, and none of its own behind', async () => {
  await using pair = await createAgentPair();
  const { a, b } = pair;
  const { run } = pathsBelow(a.root);
  writeFileSync(secret(a), 'first');
  b.start();
  a.start();
  await a.says(/Completed sync of files/);
  const before = { connections: connections(run), sockets: socketsOf(run) };
  expect(before.connections).not.toEqual([]);
  expect(a.command('check').output).toContain('masterb.test is passive');
  expect({ connections: connections(run), sockets: socketsOf(run) }).toEqual(before);
});

it('a connection of a command that was killed is ended by the next one', async () => {
  await using pair = await startPair();
  const { paths } = pair.a;
  const gone = spawnSync('true').pid;
  const socket = join(paths.run, `ssh-${gone}-hot`);
  const target = {
    ...{ host: '127.0.0.1', port: pair.sshd.port, user: userInfo().username, connectTimeoutSeconds: 3 },
    ...{ identity: paths.keys.transfer, knownHosts: paths.keys.knownHosts, hostKeyAlias: '127.0.0.1' },
  };
  const left = createSshSession(exec, target, socket);
  try {
    await left.open(AbortSignal.timeout(20_000));
    await pair.sender().greet(AbortSignal.timeout(20_000));
    await until('the end of the old connection', () => !existsSync(socket));
    await until('its process is gone', () => connections(paths.run).length === 1);
  } finally {
    await left.close();
  }
});
