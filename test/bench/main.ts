// Prints what was measured on this machine, now. Nothing here fails a build: a number is looked at, not asserted.
import { cpus, loadavg } from 'node:os';
import { benchCertificates } from './certificates.ts';
import { benchDatabase } from './database.ts';
import type { Measured } from './measured.ts';

const benches: Readonly<Record<string, () => Promise<Measured[]>>> = {
  certificates: benchCertificates,
  database: benchDatabase,
};
const [only] = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const results: Measured[] = [];
for (const [name, bench] of Object.entries(benches)) {
  if (only !== undefined && only !== name) continue;
  console.log(`measuring ${name} ...`);
  for (const measured of await bench()) {
    results.push(measured);
    console.log(line(measured));
  }
}
console.log(`${cpus().length} cores, load ${loadavg()[0]?.toFixed(1) ?? '?'}`);
if (process.argv.includes('--json')) console.log(JSON.stringify({ results }));

function line({ key, unit, ours, p95, target, met }: Measured): string {
  const number = (value: number): string => `${value.toFixed(unit === 's' ? 2 : 0)}${unit === '' ? '' : ` ${unit}`}`;
  const spread = p95 === undefined ? '' : `, p95 ${number(p95)}`;
  return `  ${key.padEnd(22)} ${number(ours)}${spread}; target ${number(target)}: ${met ? 'met' : 'NOT MET'}`;
}
