/**
 * Suites that run once, in `npm test` or `npm run test:clock`: neither another MikroORM nor another Node would change
 * what they show. All others run with each of them. (Not test/package/imports: Node 22 has a `require()` of its own.)
 */
export const ONCE = [
  'test/clock/(?:chaos|cron|growth|memory|outbox)',
  'test/docs/',
  'test/package/(?:contents|docstrings)',
  'test/property/(?:cache-stamps|fuzz|schema)',
  'test/unit/databases',
];

/** A configuration without them. */
export const notOnce = (config, ...others) => ({
  ...config,
  testPathIgnorePatterns: ['/node_modules/', ...[...ONCE, ...others].map((suite) => `<rootDir>/${suite}`)],
});
