/** Where something listens: `127.0.0.1:8186`, `[::1]:8186`, `name:8186`. */
export interface Listen {
  readonly host: string;
  readonly port: number;
}

/** Undefined: it is none. What passes may stand in a unit of systemd. */
export function parseListen(text: string): Listen | undefined {
  const [, six, plain, digits] =
    /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9][A-Za-z0-9._-]{0,252})):(\d{1,5})$/.exec(text) ?? [];
  const [host, port] = [six ?? plain, Number(digits)];
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}
