import { toFailure } from '../errors.ts';
import type { Greeting } from '../drops/peer.ts';
import { bad, good, note, type Finding } from '../rules/findings.ts';
import { formatEpoch } from '../rules/epoch.ts';

/** One way over which the other master may still be there. Throws where nobody answers. */
export interface Way {
  /** "its puppetserver (https://mastera.example.com:8140)". */
  readonly name: string;
  ask(signal: AbortSignal): Promise<void>;
}

export interface OtherSide {
  readonly certname: string;
  greet(signal: AbortSignal): Promise<Greeting>;
  readonly ways: readonly Way[];
}

const askMs = 8_000;

/** Is the old active gone? It is asked over every known way. */
export async function oldActiveGone(other: OtherSide, signal: AbortSignal): Promise<Finding[]> {
  const limit = (): AbortSignal => AbortSignal.any([signal, AbortSignal.timeout(askMs)]);
  const { certname } = other;
  const [greeting, ...ways] = await Promise.all([
    other.greet(limit()).catch((error: unknown) => toFailure(error).message),
    ...other.ways
      .map(async ({ name, ask }) => {
        await ask(limit());
        return name;
      })
      .map((asking) => asking.catch(() => undefined)),
  ]);
  signal.throwIfAborted();
  const answering = ways.filter((name) => name !== undefined);
  const hint = `For an exchange in which nothing is lost, type on ${certname}: pe-failover switchover`;
  const lost = 'what it takes in until it is demoted is not here, and both CAs sign';
  if (typeof greeting !== 'string') {
    const { role, epoch } = greeting.gate;
    const is = `${certname} answers: it is ${role} in epoch ${formatEpoch(epoch)}`;
    return role === 'active' ? [bad(`${is}, and alive`, `${hint}. By force, ${lost}`, '--force')] : [good(is)];
  }
  if (answering.length === 0)
    return [good(`${certname} answers on no way: ssh${other.ways.map(({ name }) => `, ${name}`).join('')}`)];
  return [
    note(`${certname} does not answer over ssh: ${greeting}`),
    bad(`${certname} is alive: ${answering.join(', ')} answers`, `${hint}. By force, ${lost}`, '--force'),
  ];
}
