import { toFailure } from '../errors.ts';
import { formatEpoch } from '../rules/epoch.ts';
import { bad, good, note, type Finding } from '../rules/findings.ts';
import { agreementStep, type AgreementTools } from './agreement.ts';
import type { OtherSide } from './other-side.ts';
import type { Procedure } from './procedure.ts';
import { roleSteps, type RoleTools } from './role-steps.ts';

export interface DemoteParts {
  readonly role: RoleTools;
  readonly other: OtherSide | undefined;
  readonly agreement: AgreementTools;
}

/** A former active becomes the spare of the new one. */
export function demotion(parts: DemoteParts): Procedure {
  const { role, other, agreement } = parts;
  const name = other?.certname ?? 'the new active';
  const agree = agreementStep(agreement, name);
  return {
    verb: 'demote',
    title: `Demote ${role.certname}: it becomes the spare of ${name}`,
    consequences: [
      'What it signed and revoked itself stays, and comes into the CA of the new active.',
      'Node groups, databases and files are replaced by those of the new active; what was here is kept in the archive.',
    ],
    probes: [() => roleFindings(parts), (signal) => otherFindings(parts, signal)],
    steps: [...roleSteps(role, 'passive'), agree],
    pointOfNoReturn: agree.name,
    left: () => Promise.resolve([`On both, type: pe-failover status. Nothing that was here is lost: see its archive`]),
  };
}

async function roleFindings({ role }: DemoteParts): Promise<Finding[]> {
  const settled = await role.settled();
  if (settled === undefined) return [bad('nothing is installed here', 'Type: pe-failover install')];
  if (settled === 'passive') return [bad(`${role.certname} is a spare already`, 'Type: pe-failover status')];
  const view = await role.view();
  return [
    good(`${role.certname} is an active`),
    view === undefined ? bad('the agent does not run', 'Type: systemctl start pe-failover') : good('the agent runs'),
  ];
}

/** Nobody would be the active if the other one is not. */
async function otherFindings({ other, role }: DemoteParts, signal: AbortSignal): Promise<Finding[]> {
  if (other === undefined) return [bad('no other master is known here', 'Nobody would be the active', '--force')];
  try {
    const { gate } = await other.greet(AbortSignal.any([signal, AbortSignal.timeout(15_000)]));
    const is = `${other.certname} is ${gate.role} in epoch ${formatEpoch(gate.epoch)}`;
    if (gate.role === 'active') return [good(is)];
    const hint = `For an exchange of roles, type: pe-failover switchover. By force, nobody is the active until ${other.certname} is promoted`;
    return [bad(is, hint, '--force')];
  } catch (error) {
    const { message } = toFailure(error);
    signal.throwIfAborted();
    return [
      note(message),
      bad(`${other.certname} does not answer`, `By force, ${role.certname} is a spare that hears of nobody`, '--force'),
    ];
  }
}
