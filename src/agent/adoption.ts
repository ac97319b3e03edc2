import type { Spare } from '../drops/spare.ts';
import type { Paths } from '../rules/paths.ts';
import { createState } from '../system/state.ts';

/** An admin's word that the active's CA, and its data, shall replace what is here. */
export async function recordAdoption(
  master: { readonly paths: Paths; readonly spare: Spare },
  fingerprint: string | undefined,
): Promise<void> {
  await createState(master.paths.state).write('adopted', { at: new Date().toISOString() });
  if (fingerprint !== undefined) await master.spare.adoption.ask(fingerprint);
}
