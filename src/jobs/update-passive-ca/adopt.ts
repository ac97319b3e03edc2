import type { AdoptionRequest } from '../../drops/spare.ts';
import type { Intake, VerifiedDrop } from '../../drops/intake.ts';
import { adoptionPointOfNoReturn, adoptionSteps, isAdopted } from '../../puppet/ca-adoption.ts';
import { foreignCa } from '../../puppet/ca-foreign.ts';
import type { LiveCa } from '../../puppet/ca-live.ts';
import { dropName } from '../../rules/manifest.ts';
import type { AcceptedSet } from '../../system/accepted-set.ts';
import { readAccounts } from '../../system/accounts.ts';
import type { ContentStore } from '../../system/content-store.ts';
import { runOperation, type Journal } from '../../system/journal.ts';
import type { Outcome, PassContext } from '../job.ts';

export interface AdoptionTools {
  readonly request: Pick<AdoptionRequest, 'wanted' | 'done'>;
  /** Whether puppetserver is stopped: it would go on with the CA that is replaced. */
  readonly isServerStopped: () => Promise<boolean>;
}

interface Tools {
  readonly live: LiveCa;
  readonly set: AcceptedSet;
  readonly content: ContentStore;
  readonly intake: Pick<Intake, 'settle'>;
  readonly journal: Journal;
  readonly adoption: AdoptionTools;
}

/** A drop that carries the whole CA with its keys, or one of a CA that is not ours; undefined: an ordinary one. */
export async function adoptOrHold(
  tools: Tools,
  drop: VerifiedDrop,
  context: PassContext,
): Promise<Outcome | undefined> {
  const offered = drop.manifest.detail['adoption'];
  if (typeof offered === 'string') return await adopt(tools, drop, offered, context);
  const why = await foreignCa(tools, drop.directory);
  if (why === undefined) return undefined;
  await tools.intake.settle(drop, { state: 'held', why });
  return { kind: 'held', why };
}

async function adopt(tools: Tools, drop: VerifiedDrop, fingerprint: string, context: PassContext): Promise<Outcome> {
  const wanted = await tools.adoption.request.wanted();
  if (wanted === undefined && (await isAdopted(tools.live.cadir, fingerprint))) {
    const why = `the CA ${fingerprint} is adopted already`;
    await tools.intake.settle(drop, { state: 'unchanged', why });
    return { kind: 'unchanged', why };
  }
  if (wanted !== fingerprint) {
    const why = `nobody asked here for the CA ${fingerprint}`;
    await tools.intake.settle(drop, { state: 'refused', why });
    return { kind: 'waiting', why };
  }
  const { manifest, directory } = drop;
  const { cadir } = tools.live;
  const date = manifest.capturedAt.replace(/[-:]|\.\d+/g, ''); // the same at each try
  const { isServerStopped } = tools.adoption;
  const steps = adoptionSteps({
    cadir,
    directory,
    files: manifest.files,
    fingerprint,
    accounts: await readAccounts(),
    date,
    isServerStopped,
  });
  await context.fence();
  const run = dropName(manifest);
  await runOperation(tools.journal, {
    job: 'update-passive-ca',
    run,
    args: { drop: run },
    steps,
    pointOfNoReturn: adoptionPointOfNoReturn,
  });
  context.log.success(`Adopted the CA ${fingerprint} in ${cadir}`);
  // In this order: killed in between, the drop is met again as one that is adopted, and keys are not asked for twice.
  await tools.adoption.request.done();
  await tools.intake.settle(drop, { state: 'applied', why: `adopted the CA ${fingerprint}` });
  return { kind: 'done', why: `adopted the CA ${fingerprint}` };
}
