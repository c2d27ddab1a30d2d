import config from './jest.config.js';

/** The tests of BullMQ again, with BullMQ 5. */
export default {
  ...config,
  testMatch: [
    '<rootDir>/test/*/bullmq{,-outbox,-taken-back}.test.ts',
    '<rootDir>/test/integration/requeue.test.ts',
    '<rootDir>/test/integration/signed.test.ts',
    '<rootDir>/test/integration/adapter-context.test.ts',
  ],
  moduleNameMapper: { ...config.moduleNameMapper, '^bullmq$': 'bullmq-5' },
};
