import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readDeployedCode } from '../../src/puppet/deployed-code.ts';
import { createAgentPair, filesOnly, startBoth, type AgentMaster, type AgentPair } from '../helpers/agents.ts';
import { hookPath, noteEvent, told } from '../helpers/hooks.ts';
import { pathsBelow } from '../helpers/pair.ts';

const [one, two] = ['1'.repeat(40), '2'.repeat(40)];
const environments = (root: string): string => join(root, 'etc/puppetlabs/code/environments');

/** As r10k leaves an environment behind. */
function deploy(root: string, name: string, commit: string): void {
  const directory = join(environments(root), name);
  mkdirSync(directory, { recursive: true });
  const said = { name, signature: commit, finished_at: 'now', deploy_success: true, module_deploys: [] };
  writeFileSync(join(directory, '.r10k-deploy.json'), JSON.stringify(said));
}

describe('the commits of environments', () => {
  let home: string;
  beforeAll(() => {
    home = mkdtempSync(join(tmpdir(), 'pe-failover-code-'));
  });
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  it('are those of r10k, and of a checkout by git, before and after its branches are packed', async () => {
    deploy(home, 'production', one);
    const checkout = join(environments(home), 'by_git');
    mkdirSync(checkout);
    const git = (...args: string[]): string =>
      execFileSync('git', ['-c', 'user.name=x', '-c', 'user.email=x@y', ...args], {
        cwd: checkout,
        encoding: 'utf8',
      }).trim();
    git('init', '-q', '-b', 'main');
    git('commit', '-q', '--allow-empty', '-m', 'first');
    const commit = git('rev-parse', 'HEAD');
    mkdirSync(join(environments(home), 'by_hand'));
    writeFileSync(join(environments(home), 'no_directory'), '');
    mkdirSync(join(environments(home), 'pipe'));
    execFileSync('mkfifo', [join(environments(home), 'pipe/.r10k-deploy.json')]);
    expect(await readDeployedCode([environments(home)])).toEqual({ production: one, by_git: commit });
    git('pack-refs', '--all');
    expect(await readDeployedCode([environments(home)])).toEqual({ production: one, by_git: commit });
    git('checkout', '-q', '--detach');
    expect(await readDeployedCode([environments(home), '/no/such/place'])).toEqual({ production: one, by_git: commit });
  });
});

describe('a spare', () => {
  let pair: AgentPair;
  beforeAll(async () => {
    pair = await createAgentPair(filesOnly);
    for (const { root } of [pair.a, pair.b]) {
      const path = pathsBelow(root).config;
      const text = readFileSync(path, 'utf8').replace('paths: {', `paths: {environments: ${environments(root)}, `);
      writeFileSync(path, text);
    }
  });
  afterAll(() => pair[Symbol.asyncDispose]());

  const eventually = (look: () => unknown) => expect.poll(look, { interval: 50, timeout: 60_000 });
  const last = (master: AgentMaster): unknown => told(master, 'code-deployed').at(-1)?.['environments'];

  it(
    'tells its hooks what the active has deployed and it has not, once for each deployment',
    { timeout: 180_000 },
    async () => {
      const { a, b } = pair;
      noteEvent(b, 'code-deployed', 'echo "deploys $PE_FAILOVER_ENVIRONMENTS"');
      deploy(b.root, 'production', one);
      deploy(a.root, 'production', one);
      await startBoth(pair);
      deploy(a.root, 'production', two);
      deploy(a.root, 'dev', one);
      expect(await b.says(/Hook code-deployed\/10-note says/, 60_000)).toMatch(
        /deploys (dev )?production|deploys dev$/,
      );
      await eventually(() => last(b)).toEqual([
        { name: 'dev', commit: one },
        { name: 'production', commit: two, here: one },
      ]);
      const count = told(b).length;
      deploy(b.root, 'production', two);
      deploy(b.root, 'dev', one);
      deploy(a.root, 'test', one);
      await eventually(() => last(b)).toEqual([{ name: 'test', commit: one }]);
      expect(told(b)).toHaveLength(count + 1);
      expect(statSync(pathsBelow(b.root).deployedCode).mode & 0o777).toBe(0o600);
    },
  );
});

describe('the hook deploy-code', () => {
  it('is put into its place, stays as its admin changed it, and is not run for nothing', async () => {
    await using pair = await createAgentPair(filesOnly);
    const { b } = pair;
    const path = hookPath(b, 'code-deployed/10-deploy-code');
    expect(b.command('hooks', '--enable', 'deploy-code')).toMatchObject({ code: 0 });
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(b.command('hooks').output).toContain('code-deployed/10-deploy-code: is run');
    expect(b.command('hooks', '--enable', 'deploy-code').code).toBe(0);
    writeFileSync(path, `${readFileSync(path, 'utf8')}# mine\n`);
    expect(b.command('hooks', '--enable', 'deploy-code')).toMatchObject({ code: 75 });
    expect(b.command('hooks', '--enable', 'deploy')).toMatchObject({ code: 64 });
  });

  it('hands r10k all environments at once to systemd, and says a FAILURE when that fails', () => {
    const stand = mkdtempSync(join(tmpdir(), 'pe-failover-deploy-'));
    try {
      const put = (name: string, script: string): void => {
        writeFileSync(join(stand, name), `#!/bin/sh\n${script}\n`);
        chmodSync(join(stand, name), 0o755);
      };
      // systemd runs what follows its options, as it was given.
      put('systemd-run', 'while :; do case "$1" in --*) shift ;; *) break ;; esac; done; exec "$@"');
      put('logger', 'echo "$@"');
      put('r10k', 'echo r10k "$#" "$@"; exit $R10K');
      const shipped = readFileSync(join(import.meta.dirname, '../../templates/hooks/deploy-code'), 'utf8');
      put('hook', shipped.replace('#!/bin/sh\n', ''));
      const run = (R10K: string): string =>
        execFileSync(join(stand, 'hook'), {
          env: {
            ...{ PATH: `${stand}:/usr/bin:/bin`, R10K, PE_FAILOVER_CERTNAME: 'masterb.test' },
            PE_FAILOVER_ENVIRONMENTS: 'dev production',
          },
          encoding: 'utf8',
        });
      expect(run('0')).toBe('r10k 5 deploy environment --modules dev production\n');
      expect(run('3')).toMatch(/PE_FAILOVER: deploy_code\.sh ---> \[FAILURE\] .*exit code 3\. Type: journalctl/);
    } finally {
      rmSync(stand, { recursive: true });
    }
  });
});
