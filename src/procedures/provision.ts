import type { LocalAgent } from '../agent/local-agent.ts';
import type { RemoteHost } from '../agent/remote-host.ts';
import type { StatusReport } from '../agent/status.ts';
import { Failure, toFailure } from '../errors.ts';
import { bad, good, type Finding } from '../rules/findings.ts';
import { judgeHost, type HereReport } from '../rules/host-report.ts';
import { programVersion } from '../rules/program.ts';
import type { Role } from '../rules/role.ts';
import type { Clock } from '../system/clock.ts';
import type { Doing, Probe, Procedure, ProcedureStep } from './procedure.ts';

export interface ProvisionParts {
  /** As it was typed. */
  readonly host: string;
  readonly role: () => Promise<Role>;
  /** Certname of the spare that this master knows. */
  readonly known: () => Promise<string | undefined>;
  readonly here: HereReport;
  readonly there: RemoteHost;
  /** Where PE's own disaster recovery is looked for; none without a classifier. */
  readonly native?: Probe;
  /** Runs `pe-failover install` here, as the active of that spare; `renew`: the keys of the one that was known are forgotten. */
  readonly installHere: (renew: boolean, signal: AbortSignal) => Promise<void>;
  /** This master's pairing line. */
  readonly line: () => Promise<string>;
  /** Fingerprint of the CA here; undefined where it is not kept in sync. */
  readonly fingerprint: () => Promise<string | undefined>;
  readonly status: () => Promise<StatusReport>;
  readonly agent: Pick<LocalAgent, 'reload'>;
  readonly clock: Pick<Clock, 'sleep' | 'monotonic'>;
  /** How long the first copy is waited for. */
  readonly waitMs: number;
}

/** Makes a host the spare of this master, over ssh. */
export function provisionSpare(parts: ProvisionParts): Procedure {
  const { host, native } = parts;
  return {
    ...{ verb: 'provision', subject: host, title: `Provision ${host}: it becomes the spare of this master` },
    consequences: [
      'Its CA is replaced by the one here, and renamed, not removed; its databases and node groups are replaced.',
      'Each step can be typed again; to take it away: pe-failover uninstall --purge there, pe-failover forget here.',
    ],
    probes: [() => probeHere(parts), ...(native === undefined ? [] : [native]), (signal) => probeThere(parts, signal)],
    steps: [programStep(parts), activeStep(parts), spareStep(parts), adoptStep(parts), copyStep(parts)],
    pointOfNoReturn: 'program',
    left: () =>
      Promise.resolve([
        'Databases need a role in PostgreSQL on both: README.md, step 4',
        `To tell agents of it: pe-failover enable ${host}`,
      ]),
  };
}

async function probeHere({ host, role, known, there, here }: ProvisionParts): Promise<Finding[]> {
  const now = await role();
  if (now.role === 'passive') return [bad('this master is a spare', 'Type it on the active')];
  if (now.role === 'active' && now.passiveMaster !== undefined) {
    const peer = await known();
    const { certname } = await there.report(AbortSignal.timeout(120_000));
    if (peer !== undefined && peer !== certname && certname !== here.certname)
      return [bad(`the spare here is ${peer}`, `If it is gone, type: pe-failover forget ${peer}`)];
  }
  return [good(`this master has room for ${host} as its spare`)];
}

const probeThere = async ({ there, here }: ProvisionParts, signal: AbortSignal): Promise<Finding[]> =>
  judgeHost(await there.report(signal), here);

const never = (): Promise<boolean> => Promise.resolve(false); // what it does twice changes nothing

const programStep = ({ there }: ProvisionParts): ProcedureStep => ({
  name: 'program',
  says: 'copy this program there, into /opt/pe_failover',
  do: ({ signal }) => there.copyProgram(signal),
  isDone: async () => (await there.report(AbortSignal.timeout(120_000))).version === programVersion,
});

const activeStep = ({ installHere, known, there }: ProvisionParts): ProcedureStep => ({
  name: 'install here',
  says: 'install here, as the active (pe-failover install)',
  do: async ({ signal }) => {
    const { certname, mode } = await there.report(signal);
    await installHere(mode === '' && (await known()) === certname, signal);
  },
  isDone: never,
});

const spareStep = ({ there, line }: ProvisionParts): ProcedureStep => ({
  name: 'install there',
  says: 'install there, as the spare, with the pairing line of this master',
  do: async ({ tell, signal }) => {
    const said = await there.command(['install', '--passive', '--auth-key', await line()], signal);
    tell(said.split('\n').find((text) => text.startsWith('The active is')) ?? 'installed');
  },
  isDone: never,
});

const adoptStep = ({ there, fingerprint }: ProvisionParts): ProcedureStep => ({
  name: 'adopt',
  says: 'have it take over the CA and the databases of this master',
  do: async ({ tell, signal }) => {
    const wanted = await fingerprint();
    if (wanted === undefined) return tell('no CA is kept in sync here');
    const said = await there.command(['adopt', wanted], signal);
    tell(said.trim().split('\n')[0] ?? '');
  },
  isDone: never,
});

const copyStep = (parts: ProvisionParts): ProcedureStep => ({
  name: 'first copy',
  says: 'wait until everything of this master is verified there',
  do: (doing) => followCopy(parts, doing),
  isDone: async () => standingOf(await parts.status()).open.length === 0,
});

const lookMs = 500;

async function followCopy({ status, agent, clock, waitMs, host }: ProvisionParts, doing: Doing): Promise<void> {
  const end = clock.monotonic() + waitMs;
  await agent.reload();
  for (;;) {
    const report = await status();
    const { live, of, open } = standingOf(report);
    if (open.length === 0) return doing.tell(`everything is there: ${report.peer ?? host}`);
    const waits = open.map(({ stream, why }) => `${stream}: ${why}`).join('; ');
    if (!report.agent.runs)
      throw new Failure('incomplete', 'no agent runs here', { hint: 'Type: systemctl start pe-failover' });
    if (clock.monotonic() > end)
      throw new Failure('incomplete', 'not everything is there yet', {
        why: waits,
        hint: 'It goes on by itself: pe-failover status',
      });
    doing.tell(`${bar(live, of)} ${live} of ${of}; ${waits}`);
    await clock.sleep(lookMs, doing.signal).catch((error: unknown) => {
      throw toFailure(error);
    });
  }
}

/** A stream is there when the other root said so: what it holds or cannot do is no copy. */
function standingOf({ components }: StatusReport) {
  const open = components.filter(({ applied, staged }) => applied === undefined && staged === undefined);
  return {
    live: components.length - open.length,
    of: Math.max(1, components.length),
    open: components.length === 0 ? [nothing] : open,
  };
}

const nothing = { stream: 'the spare', why: 'has not answered yet' };

const width = 20;
const bar = (live: number, of: number): string => {
  const full = Math.floor((live / of) * width);
  return `[${'#'.repeat(full)}${'.'.repeat(width - full)}]`;
};
