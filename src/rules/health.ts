// Whether a load balancer should send agents to this master: what the web process answers on /health.

/** What the agent says of this master, every few seconds. */
export interface Serving {
  readonly format: 1;
  readonly at: string;
  /** Seconds since the machine began: no clock that is set makes it older or younger. */
  readonly up: number;
  readonly role: string;
  /** Why its role does not count as settled, where it does not. */
  readonly unsettled?: string;
  /** False: it was looked at, and what an agent needs of it is not here. */
  readonly ca: boolean;
}

/** What a switch of a database says as long as it goes on. */
export interface Switching {
  readonly format: 1;
  readonly up: number;
  readonly since: string;
  readonly database: string;
}

export interface HealthFacts {
  /** Of this machine, in seconds since it began. */
  readonly up: number;
  readonly serving: Serving | undefined;
  readonly switching: Switching | undefined;
  /** Why puppetserver does not serve; undefined: it does. */
  readonly puppetserver: string | undefined;
}

/** `any`: a master that can serve. `active`: the active alone, and surely. */
export type HealthQuestion = 'any' | 'active';

export interface Health {
  readonly healthy: boolean;
  readonly reason: string;
  /** Of the last word that counts. */
  readonly role: string;
}

/** What was said so long ago is not known any more: it is repeated every 5 s. */
export const saidForSeconds = 30;

/** Said on this machine since it began, and not too long ago. */
const counts = (said: { readonly up: number } | undefined, now: number): boolean =>
  said !== undefined && now - said.up <= saidForSeconds && said.up - now < 1;

/**
 * A master whose agent is silent is not unhealthy: puppetserver decides then, because no good master may be taken out for
 * want of our agent, and a killed one must not leave its last word for ever. Who is the active cannot be told without it.
 */
export function judgeHealth(facts: HealthFacts, asked: HealthQuestion): Health {
  const serving = counts(facts.serving, facts.up) ? facts.serving : undefined;
  const role = serving?.role ?? 'unknown';
  const why = whyNot(facts, serving) ?? (asked === 'active' ? whyNotActive(serving) : undefined);
  if (why !== undefined) return { healthy: false, reason: why, role };
  const silent = 'puppetserver serves; the agent of pe-failover does not say more';
  return { healthy: true, reason: serving === undefined ? silent : `puppetserver serves as the ${role} master`, role };
}

function whyNot({ up, switching, puppetserver }: HealthFacts, serving: Serving | undefined): string | undefined {
  if (switching !== undefined && counts(switching, up))
    return `database ${switching.database} is being switched since ${switching.since}`;
  if (puppetserver !== undefined) return `puppetserver does not serve: ${puppetserver}`;
  if (serving?.role === 'suspended') return `the master is suspended: ${ask}`;
  return serving?.ca === false ? `the CA here is not complete: ${ask}` : undefined;
}

/** What `status` says in full names paths and peers: nobody on the network needs that. */
const ask = 'pe-failover status tells why';

function whyNotActive(serving: Serving | undefined): string | undefined {
  if (serving === undefined) return 'the agent of pe-failover does not say whether this is the active';
  if (serving.role !== 'active') return `this is the ${serving.role} master`;
  return serving.unsettled === undefined ? undefined : `the active is not settled: ${serving.unsettled}`;
}

export interface SettledFacts {
  /** Undefined: there is none. */
  readonly gate: { readonly role: string; readonly closed?: string; readonly fact: string } | undefined;
  /** sha256 of the fact file as it is now. */
  readonly fact: string;
  /** A job latched: this is an active that was overtaken, or set back. */
  readonly latched: boolean;
  /** Undefined: nothing is known of it, or it is not ours to keep. */
  readonly caReady: boolean | undefined;
}

/** What there is to say of a master, by its gate file, its fact and its CA. */
export function servingOf(facts: SettledFacts): Omit<Serving, 'format' | 'at' | 'up'> {
  const unsettled = whyUnsettled(facts);
  return {
    role: facts.gate?.role ?? 'unknown',
    ca: facts.caReady !== false,
    ...(unsettled === undefined ? {} : { unsettled }),
  };
}

function whyUnsettled({ gate, fact, latched }: SettledFacts): string | undefined {
  if (gate === undefined) return 'its agent has not entered a role yet';
  if (gate.closed !== undefined) return 'its role changes';
  if (gate.fact !== fact) return 'the fact was edited just now';
  return latched ? `a job is latched, ${ask}` : undefined;
}
