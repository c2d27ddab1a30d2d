import { availableParallelism } from 'node:os';

/** Native ESM: run through `npm run jest`, which gives node the flag for it. */
export default {
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  // These are run by jest.clock.config.js.
  testPathIgnorePatterns: ['/node_modules/', '<rootDir>/test/clock/'],
  // Two on two cores, where Jest would have one: tests wait for servers half of their time.
  maxWorkers: Math.max(2, availableParallelism() - 1),
  // Modules of files that are over stay in a worker's memory, which lanes side by side have to share.
  workerIdleMemoryLimit: '1GB',
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  // Tests measure the source; `mikro-orm-byref` itself resolves to it, so that fixtures and tests share one copy.
  moduleNameMapper: {
    '^mikro-orm-byref$': '<rootDir>/src/index.ts',
    '^mikro-orm-byref/bullmq$': '<rootDir>/src/bullmq/index.ts',
    '^mikro-orm-byref/cache$': '<rootDir>/src/cache/index.ts',
    '^mikro-orm-byref/class-transformer$': '<rootDir>/src/class-transformer/index.ts',
    '^mikro-orm-byref/graphile-worker$': '<rootDir>/src/graphile-worker/index.ts',
    '^mikro-orm-byref/http$': '<rootDir>/src/http/index.ts',
    '^mikro-orm-byref/locks$': '<rootDir>/src/locks/index.ts',
    '^mikro-orm-byref/microservices$': '<rootDir>/src/microservices/index.ts',
    '^mikro-orm-byref/nestjs$': '<rootDir>/src/nestjs/index.ts',
    '^mikro-orm-byref/outbox$': '<rootDir>/src/outbox/index.ts',
    '^mikro-orm-byref/pg-boss$': '<rootDir>/src/pg-boss/index.ts',
    '^mikro-orm-byref/tasks$': '<rootDir>/src/tasks/index.ts',
    '^mikro-orm-byref/testing$': '<rootDir>/src/testing/index.ts',
  },
  transform: {
    '\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          target: 'es2023',
        },
        module: { type: 'es6' },
      },
    ],
  },
  reporters: ['default', '<rootDir>/test/support/left-out-reporter.ts'],
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
  testTimeout: 120_000,
};
