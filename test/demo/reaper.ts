// Outlives the demo: node test/demo/reaper.ts BASE [DIRECTORY ...]. Sweeps when its standard input ends.
import { sweep } from './processes.ts';

const [base, ...directories] = process.argv.slice(2);
if (base === undefined || !/^\/.*pe-failover-demo-\w{6}$/.test(base)) throw new Error('usage: BASE [DIRECTORY ...]');
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => undefined);
process.stdin.resume();
process.stdin.once('close', () => void sweep(base, [base, ...directories]));
