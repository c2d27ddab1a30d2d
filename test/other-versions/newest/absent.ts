/** Suites on databases and queues that are not run with the newest packages, and why. */
export const ABSENT_FILES = {
  'test/integration/cli-config.test.ts': 'there is no @mikro-orm/cli of this version',
  'test/integration/cli.test.ts': 'there is no @mikro-orm/cli of this version',
} as const;
