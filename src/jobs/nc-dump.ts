import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Delivered, Delivery } from '../drops/delivery.ts';
import type { OwnTrees } from '../drops/own-trees.ts';
import { sayDelivered, type Sentences } from '../drops/word.ts';
import { toFailure } from '../errors.ts';
import type { Classifier, Probe } from '../puppet/classifier.ts';
import { canonicalGroups } from '../rules/groups.ts';
import { mapHosts, type HostChange, type HostPair } from '../rules/host-map.ts';
import { digestOf } from '../rules/json.ts';
import { writeFileAtomic } from '../system/files.ts';
import type { Job, Outcome, PassContext, Trigger } from './job.ts';

export interface NcDumpSettings {
  readonly classifier: Classifier;
  readonly delivery: Omit<Delivery, 'manifest' | 'sizes' | 'adoptionAsked'>;
  /** The spare's name, for log lines. */
  readonly peer: string;
  readonly triggers?: readonly Trigger[];
  /** Where each tree is kept, whether or not the spare is there to take it; missing: nowhere. */
  readonly trees?: OwnTrees;
}

const stream = 'nc-dump';
const payload = 'groups.json';
const lookMs = 60_000;
const defaultTriggers: readonly Trigger[] = [
  { kind: 'cron', expression: '10 * * * *' },
  { kind: 'every', ms: 60_000 },
  { kind: 'start' },
];

/**
 * Ships the active's classifier as it is: one file, the canonical tree, whose sha256 is the drop's digest. Host names
 * are exchanged by the spare when it merges: an archive of drops stays true of its source, and a promotion in between
 * turns no name round twice.
 */
export function createNcDump(settings: NcDumpSettings): Job {
  let last: { readonly fingerprint: string; readonly text: string } | undefined;
  let lookedAt = -Infinity;
  const look = async ({ signal, clock }: PassContext): Promise<string> => {
    lookedAt = clock.monotonic();
    const probe = await probeOnceReady(settings.classifier, signal);
    if (last?.fingerprint !== probe.fingerprint)
      last = { fingerprint: probe.fingerprint, text: canonicalGroups(probe.groups()) };
    await settings.trees?.keep(last.text, clock.now()).catch(() => undefined); // no reason to send nothing
    return last.text;
  };
  const run = async (context: PassContext): Promise<Outcome> => {
    const late = await settings.delivery.catchUp(stream, context.signal).catch(async (error: unknown) => {
      // What changes while the spare is away is kept here all the same; retries come every second or two.
      const isDue = context.clock.monotonic() - lookedAt >= lookMs && !context.signal.aborted;
      if (isDue && settings.trees !== undefined) await look(context).catch(() => undefined);
      throw error;
    });
    const text = await look(context);
    return sayDelivered(await deliver(settings, text, context), late, sentencesFor(settings.peer), context.log);
  };
  return { name: 'nc-dump', role: 'active', triggers: settings.triggers ?? defaultTriggers, run };
}

/** A service that has just been started is waited for; any other trouble is told by the second try. */
const probeOnceReady = (classifier: Classifier, signal: AbortSignal): Promise<Probe> =>
  classifier.probe(signal).catch(async (error: unknown) => {
    if (!['unreachable', 'dependency'].includes(toFailure(error).class)) throw error;
    await classifier.ready(signal);
    return await classifier.probe(signal);
  });

/** What the spare would exchange in the tree of this moment: for `run nc-dump --dry-run`. */
export async function previewNcDump(
  classifier: Classifier,
  pairs: readonly HostPair[],
  signal: AbortSignal,
): Promise<readonly HostChange[]> {
  return mapHosts(await classifier.groups(signal), pairs).changes;
}

function deliver({ delivery, peer }: NcDumpSettings, text: string, context: PassContext): Promise<Delivered> {
  const pack = async (directory: string) => {
    context.log.success('Starting NC Export');
    await writeFileAtomic(join(directory, payload), text, { mode: 0o600 });
    context.log.success(`Export Completed. Attempting to sync data to ${peer}`);
    const sha256 = createHash('sha256').update(text).digest('hex');
    return [{ path: payload, size: Buffer.byteLength(text), sha256, mode: 0o600, owner: 'root', group: 'root' }];
  };
  return delivery.deliver({ stream, digest: digestOf(text), kind: 'whole', pack }, context);
}

const sentencesFor = (peer: string): Sentences => ({
  completed: `Completed sync of NC Export to ${peer}`,
  refused: `${peer} refused the classifier`,
  failed: `${peer} could not restore the classifier`,
});
