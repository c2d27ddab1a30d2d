import config from './jest.config.js';

/** What waits for real time: cron's minute, leases that end, workers that are killed, a server that restarts. */
export default {
  ...config,
  testMatch: ['<rootDir>/test/clock/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/'],
  // They wait more than they work.
  maxWorkers: 3,
};
