/** What is deployed: the commit of each environment by its name. One of which it is not known is not there. */
export type DeployedCode = Readonly<Record<string, string>>;

/** An environment in which this master differs from the active. */
export interface CodeDifference {
  readonly name: string;
  /** What the active has deployed. */
  readonly commit: string;
  /** What is here; absent: nothing, or not known. */
  readonly here?: string;
}

const limit = 5_000;
/** As puppet names them. */
export const isEnvironment = (name: string): boolean => /^[a-z0-9_]{1,100}$/.test(name);
const isCommit = (text: unknown): text is string => typeof text === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(text);

/** Of `.r10k-deploy.json`, as r10k and Code Manager write it when a deployment has ended. One that failed is none. */
export function commitOfR10k(text: string): string | undefined {
  const { signature, deploy_success: success } = objectIn(parsed(text));
  return isCommit(signature) && success !== false ? signature : undefined;
}

/** Of `.git/HEAD`: a commit, or the name of the branch that has it. */
export function headOfGit(text: string): { readonly commit: string } | { readonly ref: string } | undefined {
  const line = text.trim();
  if (/^[0-9a-f]{40,64}$/.test(line)) return { commit: line };
  const ref = /^ref: (refs\/[\w./-]{1,200})$/.exec(line)?.[1];
  return ref === undefined || ref.includes('..') ? undefined : { ref };
}

/** Of `.git/packed-refs`. */
export const packedCommit = (text: string, ref: string): string | undefined =>
  text
    .split('\n')
    .map((line) => line.split(' '))
    .find(([commit, name]) => name === ref && isCommit(commit))?.[0];

/** What the other master wrote of its code: whatever else is in it is ignored. */
export function parseDeployedCode(text: string): DeployedCode {
  const environments = objectIn(objectIn(parsed(text))['environments']);
  const named = Object.entries(environments).slice(0, limit);
  return Object.fromEntries(
    named.filter((entry): entry is [string, string] => isEnvironment(entry[0]) && isCommit(entry[1])),
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const objectIn = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};

/** In what this master differs from the active. What it has besides is its own. */
export const codeDifferences = (active: DeployedCode, here: DeployedCode): CodeDifference[] =>
  Object.entries(active)
    .filter(([name, commit]) => here[name] !== commit)
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, commit]) => ({ name, commit, ...(here[name] === undefined ? {} : { here: here[name] }) }));

export const sameCode = (a: DeployedCode, b: DeployedCode): boolean =>
  codeDifferences(a, b).length === 0 && codeDifferences(b, a).length === 0;

/** What is remembered of the last time that hooks were told. */
export interface ToldCode {
  readonly active: DeployedCode;
  /** Monotonic milliseconds. */
  readonly at: number;
}

const againMs = 3_600_000;

/** Whether hooks are told now: when the active has deployed something else, and each hour while this master differs. */
export function isCodeNews(
  before: ToldCode | undefined,
  active: DeployedCode,
  differences: readonly CodeDifference[],
  now: number,
): boolean {
  if (differences.length === 0) return false;
  return before === undefined || !sameCode(before.active, active) || now - before.at >= againMs;
}
