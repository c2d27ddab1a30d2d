import { withVersionsOf } from '../jest.js';
import { ABSENT_FILES } from './absent.ts';

/** The suites in which these packages take part: those on databases and queues, and of locks that expire. */
export default {
  ...withVersionsOf(import.meta.dirname, ABSENT_FILES),
  testMatch: ['<rootDir>/test/{clock,conformance,integration}/*.test.ts'],
};
