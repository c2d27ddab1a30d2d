import config from './jest.config.js';

/** The suites that hold on every database: what the core does, the cache, and tasks on the engines that need no PostgreSQL. */
const SUITES = [
  'conformance/{bullmq,bullmq-outbox,inline-engine,locks-verrou}',
  'integration/{after-commit,authorize,batch,class-names,configurations,corners,declaring,drivers,freshness,golden,handed-out,hostile,inheritance,keys,locate,merging,mistakes,on-flush,options,outbox,schemas,several-orms,shapes,snapshots,sources,value-objects}',
  'integration/{cache,cache-watching,cached,class-transformer,class-transformer-corners,closed-shapes,quoted-rows}',
];

/** PGlite is one session and streams nothing: there is no "elsewhere" that changes rows beside a transaction. */
const suitesOf = (testDriver) => (testDriver === 'pglite' ? SUITES : [...SUITES, 'model/model']);

const isMysql = (testDriver) => ['mariadb', 'mysql'].includes(testDriver);

/** And what only this one does. */
const ownSuites = (testDriver) => (isMysql(testDriver) ? ['<rootDir>/test/mysql/*.ts'] : []);

/** The tests again, on another database than PostgreSQL. */
export const onDriver = (testDriver, base = config) => ({
  ...base,
  globals: { testDriver },
  ...(isMysql(testDriver) && { testEnvironment: '<rootDir>/test/support/mariadb-environment.js' }),
  testMatch: [...suitesOf(testDriver).map((suite) => `<rootDir>/test/${suite}.test.ts`), ...ownSuites(testDriver)],
});
