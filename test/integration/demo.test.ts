import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const demo = join(import.meta.dirname, '../../scripts/demo');
const expected = [
  'first-copy-live-on-spare',
  'certificate-live-on-spare',
  'burst-live-on-spare',
  'revocation-live-on-spare',
  'removal-live-on-spare',
  'classifier-equal',
  'infrastructure-groups-kept',
  'rbac-equal',
  'unchanged-restore-stops-nothing',
  'authority-equal',
  'promoted-by-fact',
  'old-active-refused',
  'roles-turned-round',
  'nothing-left-running',
];

it('a day between two masters ends with everything live on the spare, and the roles turned round', async () => {
  const child = spawn(demo, ['--once', '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => (said += chunk));
  const late = setTimeout(() => child.kill('SIGINT'), 170_000);
  const [code] = (await once(child, 'close')) as [number | null];
  clearTimeout(late);
  const last = said.trim().split('\n').findLast((line) => line.startsWith('{')) ?? '{}'; // prettier-ignore
  const { ok, checks = [] } = JSON.parse(last) as { ok?: boolean; checks?: { name: string; ok: boolean }[] };
  expect(checks.filter((check) => !check.ok), said).toEqual([]); // prettier-ignore
  expect(checks.map(({ name }) => name)).toEqual(expected);
  expect({ ok, code }).toEqual({ ok: true, code: 0 });
}, 200_000);
