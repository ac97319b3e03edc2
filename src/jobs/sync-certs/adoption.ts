import { createHash } from 'node:crypto';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Delivery } from '../../drops/delivery.ts';
import { Failure } from '../../errors.ts';
import { captureForAdoption } from '../../puppet/ca-adoption.ts';
import type { ManifestFile } from '../../rules/manifest.ts';
import { readAccounts } from '../../system/accounts.ts';
import type { Outcome, PassContext } from '../job.ts';

export interface AdoptionSender {
  readonly cadir: string;
  readonly delivery: Pick<Delivery, 'deliver'>;
  readonly spare: string;
  readonly work: string;
}

/**
 * The one way by which CA keys leave this master: an admin of the spare named our CA's fingerprint, and the spare's
 * root signed that. The ordinary whole drop that follows fills the accepted sets of both sides.
 */
export async function sendForAdoption(
  tools: AdoptionSender,
  fingerprint: string,
  context: PassContext,
): Promise<Outcome> {
  const directory = join(tools.work, 'adoption');
  await rm(directory, { recursive: true, force: true });
  await mkdir(join(directory, 'signed'), { recursive: true, mode: 0o700 });
  try {
    const files = await captureForAdoption({
      cadir: tools.cadir,
      directory,
      fingerprint,
      accounts: await readAccounts(),
    });
    const digest = `sha256:${createHash('sha256').update(JSON.stringify(files)).digest('hex')}`;
    context.log.success(`Sending the CA with its keys to ${tools.spare}, which asked for ${fingerprint}`);
    const pack = (payload: string): Promise<ManifestFile[]> => moveAll(directory, payload, files);
    const delivered = await tools.delivery.deliver(
      { stream: 'sync-certs', digest, kind: 'whole', detail: { adoption: fingerprint }, pack },
      context,
    );
    const receipt = delivered.kind === 'pushed' ? delivered.receipt : undefined;
    if (receipt?.state === 'refused' || receipt?.state === 'failed')
      throw new Failure('refused', 'the spare did not adopt the CA', { where: tools.spare, why: receipt.why });
    return {
      kind: 'waiting',
      why:
        receipt === undefined ? 'the CA is on its way to the spare' : `adopted there: ${receipt.why}; the rest follows`,
    };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function moveAll(from: string, to: string, files: readonly ManifestFile[]): Promise<ManifestFile[]> {
  for (const { path } of files) {
    await mkdir(dirname(join(to, path)), { recursive: true, mode: 0o700 });
    await rename(join(from, path), join(to, path));
  }
  return [...files];
}
