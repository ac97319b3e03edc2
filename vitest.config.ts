import { defineConfig } from 'vitest/config';

const project = (name: string, extra: Record<string, unknown> = {}) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    setupFiles: ['test/helpers/setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    ...extra,
  },
});

/** "short" is part of all tests, "long" is `./scripts/test lab --long`: the usual part takes the better part of an hour. */
const labFiles: Readonly<Record<string, Record<string, unknown>>> = {
  short: { include: ['install', 'sandbox', 'day', 'network', 'deaths'].map((name) => `test/lab/${name}.test.ts`) },
  usual: { exclude: ['scale', 'random-deaths', 'long-cut'].map((name) => `test/lab/${name}.test.ts`) },
  long: {},
};

export default defineConfig({
  test: {
    reporters: ['default', './test/helpers/closing-line-reporter.ts'],
    passWithNoTests: true,
    projects: [
      project('unit', { testTimeout: 10_000 }),
      project('integration', { testTimeout: 60_000 }),
      project('fault', { testTimeout: 300_000 }),
      // Hosts that share this machine with nothing else: after all others, one file at a time.
      project('lab', {
        ...labFiles[process.env['PE_FAILOVER_LAB'] ?? 'usual'],
        testTimeout: 600_000,
        hookTimeout: 900_000,
        fileParallelism: false,
        sequence: { groupOrder: 1 },
        globalSetup: ['test/lab/global-setup.ts'],
      }),
    ],
  },
});
