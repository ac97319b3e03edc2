// The sandbox of the agent's unit (templates/sandbox.conf), as far as others must know of it.

/** ProtectSystem=yes: nothing below may be written. */
const keptReadOnly = ['/usr', '/boot', '/efi'];

export const isKeptReadOnly = (path: string): boolean => keptReadOnly.some((place) => path.startsWith(`${place}/`));

/** What to type where an agent may not write below one of these places, though the file system is writable. */
export const writableHint =
  'The sandbox of the agent lets nobody write there: list the file under files, if it is not, ' +
  'and type again what installed this master: pe-failover install ...';

/** What to type where the agent has a file system as it was mounted before. */
export const beginAnewHint = 'It was made writable since this agent began. Type: systemctl restart pe-failover';

/**
 * Whether a file system is read-only by `/proc/PID/mountinfo` (proc(5)): by its mount, or as a whole. The last one mounted at a
 * place is the one that is seen there. Undefined: the text names no such place.
 */
export function isReadOnlyIn(mountinfo: string | undefined, mount: string): boolean | undefined {
  const found = mountinfo?.split('\n').findLast((line) => unescaped(line.split(' ')[4] ?? '') === mount);
  if (found === undefined) return undefined;
  const [own = '', whole = ''] = found.split(' - ');
  return [own.split(' ')[5], whole.split(' ')[2]].some((options) => options?.split(',').includes('ro'));
}

const unescaped = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));

/** Behind a command of the admin's that failed. */
export const elsewhereHint =
  'What works by hand and not here is forbidden by the sandbox of pe-failover.service: docs/security.md tells what that is';

/** Exit codes of systemd (systemd.exec(5)) for a sandbox that it could not make: the program was not even started. */
const notMade: Readonly<Record<number, string>> = {
  218: 'CAPABILITIES',
  226: 'NAMESPACE',
  227: 'NO_NEW_PRIVILEGES',
  228: 'SECCOMP',
  230: 'PERSONALITY',
};

/**
 * Which part of the sandbox systemd could not make, by what `systemctl show -p ExecStartPre -p ExecStart` says of the last
 * start: `{ path=... ; code=exited ; status=226 }`. Undefined: that was not it.
 */
export function sandboxNotMade(shown: string): string | undefined {
  for (const [, status = ''] of shown.matchAll(/\bcode=exited ; status=(\d+)/g)) {
    const part = notMade[Number(status)];
    if (part !== undefined) return `status ${status}/${part}`;
  }
  return undefined;
}
