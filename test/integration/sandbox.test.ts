import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { agentUnit, postgresqlUnits, recoverUnit, unitText, webUnit } from '../../src/rules/own-units.ts';
import { leftOut } from '../helpers/old-systemd.ts';

const template = (name: string): string => readFileSync(join(import.meta.dirname, '../../templates', name), 'utf8');
const words = {
  program: '/opt/pe_failover',
  journal: '/var/lib/pe_failover/journal',
  postgresql: postgresqlUnits('pe'),
  services: [],
  sandbox: template('sandbox.conf'),
  files: [],
  web: [],
  webUser: 'pe-failover',
};

describe.each([
  [agentUnit, 4.5],
  [recoverUnit, 4.5],
  [webUnit, 2.5],
] as const)('%s', (unit, most) => {
  it.for<[string, readonly string[]]>([
    ['is', []],
    ['without what systemd 239 leaves out is', leftOut],
  ])(`%s exposed to no more than ${most} of 10, as systemd counts`, ([, without], context) => {
    const directory = mkdtempSync(join(tmpdir(), 'pe-failover-unit-'));
    try {
      const path = join(directory, unit);
      const lines = unitText(template(unit), words).split('\n');
      writeFileSync(path, lines.filter((line) => !without.some((name) => line.startsWith(`${name}=`))).join('\n'));
      const args = ['security', '--offline=true', '--no-pager', `--threshold=${most * 10}`, path];
      const { error, status, stdout, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
      if (error !== undefined || /unrecognized option/.test(stderr)) context.skip('no systemd that tells it of a file');
      expect(status, stdout + stderr).toBe(0);
      expect(stdout).toMatch(/Overall exposure level for .*: \d/);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
