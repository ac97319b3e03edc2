// The classifier stand-in as a service: node test/stand-in/classifier-main.ts --config FILE
// FILE is JSON: {host, port, listen?, cert, key, ca, allowlist, groups, tokens?, database?}; cert, key, ca, allowlist and groups
// are paths. Ends at SIGTERM. The groups survive in their file. PUT /stand-in/faults with a list of faults plays trouble.
import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { holdDatabase, type DatabaseOptions } from './classifier-database.ts';
import { startClassifier } from './classifier.ts';

interface MainConfig {
  readonly host: string;
  readonly port: number;
  readonly listen?: string;
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
  readonly allowlist: string;
  readonly groups: string;
  readonly tokens?: readonly string[];
  readonly database?: DatabaseOptions;
}

const { values } = parseArgs({ options: { config: { type: 'string' } } });
if (values.config === undefined) throw new Error('--config FILE is missing');
const config = JSON.parse(readFileSync(values.config, 'utf8')) as MainConfig;
const read = (path: string): string => readFileSync(path, 'utf8');
const held = config.database === undefined ? undefined : holdDatabase(config.database);
const server = await startClassifier({
  host: config.host,
  port: config.port,
  file: config.groups,
  tls: { cert: read(config.cert), key: read(config.key), ca: read(config.ca) },
  allowlist: () => (existsSync(config.allowlist) ? read(config.allowlist).split(/\s+/) : []),
  faultRoute: true,
  ...(config.listen === undefined ? {} : { listen: config.listen }),
  ...(config.tokens === undefined ? {} : { tokens: config.tokens }),
  ...(held === undefined ? {} : { databaseUp: () => held.up() }),
});
console.log(`listening on ${server.origin}`);

const stop = async (): Promise<void> => {
  await server.close();
  await held?.close();
};
process.once('SIGTERM', () => void stop());
process.once('SIGINT', () => void stop());
