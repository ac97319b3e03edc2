import { lstat, open } from 'node:fs/promises';
import { join } from 'node:path';
import { toFailure } from '../errors.ts';
import { agentUnit, recoverUnit } from '../rules/own-units.ts';
import type { Paths } from '../rules/paths.ts';
import { redactConfig } from '../rules/redact.ts';
import { manifestName } from '../rules/manifest.ts';
import { byPlace, placeOf } from '../drops/archive.ts';
import type { Exec } from '../system/exec.ts';
import { listDirectory } from '../system/files.ts';

export interface BundleParts {
  readonly exec: Exec;
  readonly paths: Paths;
  /** The launcher of this program. */
  readonly program: string;
  readonly version: string;
  readonly platform: string;
  readonly certname: string;
  readonly config: unknown;
  /** Name of the transfer user. */
  readonly user: string;
}

/** One file of the bundle; its text is redacted by whoever writes it down. */
export interface BundleFile {
  readonly name: string;
  read(signal: AbortSignal): Promise<string>;
}

const askMs = 30_000;
const tailBytes = 2_000_000;

/** Everything that a report of a mistake needs. INVARIANT: no payload: neither drops nor archives nor what is kept by content. */
export async function bundleFiles(parts: BundleParts): Promise<BundleFile[]> {
  const { paths } = parts;
  return [
    { name: 'about.txt', read: (signal) => about(parts, signal) },
    { name: 'config.json', read: () => Promise.resolve(JSON.stringify(redactConfig(parts.config), undefined, 2)) },
    { name: 'fact.txt', read: () => ownFacts(paths.fact) },
    ...own(parts, ['status'], ['status', '--json'], ['check'], ['holds']),
    { name: 'events.jsonl', read: () => tailOf(paths.events) },
    ...(await filesIn(paths.journal, 'journal', /\.jsonl$/)),
    ...(await filesIn(paths.receipts, 'receipts', /\.jsonl$/)),
    ...(await filesIn(paths.holds, 'holds', /\.json$/)),
    // Certificates, and answers to orders, are of no use to a reader.
    ...(await filesIn(paths.state, 'state', /^(?!made-here|gate|hello|status).*\.json$/)),
    ...(await filesIn(paths.streams, 'state/streams', /\.json$/)),
    ...(await manifests(paths)),
    ...commands(parts),
  ];
}

/** What a command says; why it could not be asked, where it could not. */
async function said(exec: Exec, file: string, args: readonly string[], signal: AbortSignal): Promise<string> {
  try {
    const accept = [1, 2, 3, 4, 5, 75, 76, 78, 79];
    const { stdout, stderr } = await exec({ file, args, timeoutMs: askMs, signal, accept, outputLimitMb: 8 });
    return `$ ${file} ${args.join(' ')}\n${stdout}${stderr}\n`;
  } catch (error) {
    signal.throwIfAborted();
    return `$ ${file} ${args.join(' ')}\n(not answered: ${toFailure(error).message})\n`;
  }
}

async function about({ exec, program, version, platform, certname, paths }: BundleParts, signal: AbortSignal) {
  const lines = [
    `pe-failover ${version}, Node.js ${process.version}, ${program}`,
    `platform ${platform}, certname ${certname}, root ${paths.root}`,
    `made at ${new Date().toISOString()}`,
  ];
  const asked = await Promise.all(
    (
      [
        ['uname', '-a'],
        ['cat', '/etc/os-release'],
        ['uptime'],
        ['nproc'],
        ['free', '-m'],
        ['df', '-P'],
        ['df', '-Pi'],
        ['timedatectl'],
      ] as const
    ).map(([file, ...args]) => said(exec, file, args, signal)),
  );
  return `${lines.join('\n')}\n\n${asked.join('\n')}`;
}

/** Other facts in that file are nobody's business. */
async function ownFacts(path: string): Promise<string> {
  const text = await tailOf(path);
  return text
    .split('\n')
    .filter((line) => /^pe_failover_\w+\s*:/.test(line))
    .join('\n');
}

/** What an admin sees, by the program itself. */
const own = ({ exec, program, paths }: BundleParts, ...all: readonly (readonly string[])[]): BundleFile[] =>
  all.map(([verb = '', ...options]) => ({
    name: `${[verb, ...options].join('').replaceAll('--', '-')}.txt`,
    read: (signal) => said(exec, program, [verb, '--root', paths.root, ...options], signal),
  }));

async function tailOf(path: string): Promise<string> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  const from = Math.max(0, size - tailBytes);
  const { buffer, bytesRead } = await file.read(
    Buffer.alloc(Math.min(size, tailBytes)),
    0,
    Math.min(size, tailBytes),
    from,
  );
  const text = buffer.toString('utf8', 0, bytesRead);
  return from === 0 ? text : text.slice(text.indexOf('\n') + 1);
}

async function filesIn(directory: string, as: string, names: RegExp): Promise<BundleFile[]> {
  const found = (await listDirectory(directory)).filter((name) => names.test(name));
  return found.map((name) => ({ name: `${as}/${name}`, read: () => tailOf(join(directory, name)) }));
}

const newest = 3;

/** What drops said of themselves, of each stream the newest. */
async function manifests({ outbox, taken, archive }: Paths): Promise<BundleFile[]> {
  const files: BundleFile[] = [];
  for (const [as, home] of Object.entries({ outbox, taken, archive })) {
    for (const stream of await listDirectory(home)) {
      const drops = (await listDirectory(join(home, stream))).flatMap((name) => {
        const place = placeOf(name);
        return place === undefined ? [] : [{ name, ...place }];
      });
      for (const { name } of drops.sort(byPlace).slice(-newest)) {
        const path = join(home, stream, name, manifestName);
        if ((await lstat(path).catch(() => undefined))?.isFile() !== true) continue;
        files.push({ name: `manifests/${as}/${stream}/${name}.json`, read: () => tailOf(path) });
      }
    }
  }
  return files;
}

const sshdWords =
  /^(port|addressfamily|listenaddress|usepam|permitrootlogin|pubkeyauthentication|authorizedkeysfile|allow|deny|maxstartups|maxsessions|clientalive|unusedconnection|forcecommand|strictmodes|pubkeyaccepted|authenticationmethods)/;

function commands({ exec, paths, user }: BundleParts): BundleFile[] {
  const units = [agentUnit, recoverUnit];
  const listed = [paths.data, paths.keys.directory, paths.config, paths.run, paths.home];
  const format = '%M %u %g %10s %TY-%Tm-%TdT%TH:%TM %p -> %l\n';
  const ask = (name: string, file: string, args: readonly string[]): BundleFile => ({
    name,
    read: (signal) => said(exec, file, args, signal),
  });
  return [
    ask('listing.txt', 'find', [...listed, '-maxdepth', '5', '-printf', format]),
    ask('units.txt', 'systemctl', ['status', '--no-pager', '--full', ...units]),
    ask('journal-of-units.txt', 'journalctl', [
      ...['--no-pager', '--lines=2000', '--output=short-iso'],
      ...units.flatMap((unit) => ['--unit', unit]),
    ]),
    {
      name: 'sshd.txt',
      read: async (signal) => {
        const text = await said(exec, 'sshd', ['-T', '-C', `user=${user},host=localhost,addr=127.0.0.1`], signal);
        return text
          .split('\n')
          .filter((line, n) => n === 0 || line.startsWith('(') || sshdWords.test(line))
          .join('\n');
      },
    },
    { name: 'packages.txt', read: (signal) => packages(exec, signal) },
  ];
}

/** Of Debian, else of Red Hat. */
async function packages(exec: Exec, signal: AbortSignal): Promise<string> {
  const text = await said(exec, 'dpkg-query', ['-W'], signal);
  return text.includes('\n(not answered: ') ? await said(exec, 'rpm', ['-qa'], signal) : text;
}
