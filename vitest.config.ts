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

export default defineConfig({
  test: {
    reporters: ['default', './test/helpers/closing-line-reporter.ts'],
    passWithNoTests: true,
    projects: [
      project('unit', { testTimeout: 10_000 }),
      project('integration', { testTimeout: 60_000 }),
      project('fault', { testTimeout: 300_000 }),
    ],
  },
});
