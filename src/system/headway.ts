import { readFile } from 'node:fs/promises';

/**
 * Calls `still` once when a process has read and written nothing for so long, as the kernel counts it; where it does not
 * tell, never. The returned function ends the watch.
 */
export function watchHeadway(pid: number, limitMs: number, still: () => void): () => void {
  let seen = '';
  let since = performance.now();
  const look = async (): Promise<void> => {
    const now = await readFile(`/proc/${pid}/io`, 'utf8').catch(() => undefined);
    if (now === undefined || now !== seen) since = performance.now();
    seen = now ?? '';
    if (performance.now() - since < limitMs) return;
    clearInterval(timer);
    still();
  };
  const timer = setInterval(() => void look(), limitMs / 10);
  return () => clearInterval(timer);
}
