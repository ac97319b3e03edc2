import { join } from 'node:path';
import { commitOfR10k, headOfGit, isEnvironment, packedCommit, type DeployedCode } from '../rules/deployed-code.ts';
import { isErrno, toFailure } from '../errors.ts';
import { listDirectory, openRegular } from '../system/files.ts';

/** The commits of the environments in these directories; of two with one name the first, as puppet takes it. */
export async function readDeployedCode(directories: readonly string[]): Promise<DeployedCode> {
  const found = new Map<string, string>();
  for (const directory of directories) {
    const names = (await orNothing(() => listDirectory(directory))) ?? [];
    for (const name of names.filter(isEnvironment)) {
      const commit = found.has(name) ? undefined : await commitOf(join(directory, name));
      if (commit !== undefined) found.set(name, commit);
    }
  }
  return Object.fromEntries(found);
}

async function commitOf(environment: string): Promise<string | undefined> {
  const deployed = await textOf(join(environment, '.r10k-deploy.json'));
  if (deployed !== undefined) return commitOfR10k(deployed);
  const git = join(environment, '.git');
  const head = headOfGit((await textOf(join(git, 'HEAD'))) ?? '');
  if (head === undefined || 'commit' in head) return head?.commit;
  const loose = headOfGit((await textOf(join(git, head.ref))) ?? '');
  if (loose !== undefined) return 'commit' in loose ? loose.commit : undefined;
  return packedCommit((await textOf(join(git, 'packed-refs'))) ?? '', head.ref);
}

const mostBytes = 4 * 1024 * 1024;

/** What others wrote: nothing where it is no file, too large, or exchanged at this moment; a pipe is not waited for. */
export async function textOf(path: string): Promise<string | undefined> {
  return await orNothing(async () => {
    const handle = await openRegular(path);
    try {
      return (await handle.stat()).size > mostBytes ? undefined : await handle.readFile('utf8');
    } finally {
      await handle.close();
    }
  });
}

async function orNothing<Value>(read: () => Promise<Value>): Promise<Value | undefined> {
  try {
    return await read();
  } catch (error) {
    if (isErrno(error, 'ENOTDIR', 'ENOENT', 'EISDIR') || toFailure(error).class === 'bad-data') return undefined;
    throw error;
  }
}
