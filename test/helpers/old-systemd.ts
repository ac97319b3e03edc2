/** The systemd of RHEL 8: the oldest that our units are read by. */
export const oldest = 239;

/** What it does not know of our units, and leaves out with a warning. */
export const leftOut = ['OOMPolicy', 'ProtectClock', 'ProtectKernelLogs', 'RestrictSUIDSGID'];
