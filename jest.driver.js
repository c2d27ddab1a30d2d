import config from './jest.config.js';

/** The suites that hold on every database: what the core does, the cache, and tasks on the engines that need no PostgreSQL. */
const SUITES = [
  'conformance/{bullmq,inline-engine,locks-verrou}',
  'integration/{after-commit,authorize,batch,class-names,configurations,corners,declaring,drivers,freshness,golden,handed-out,hostile,inheritance,keys,locate,merging,mistakes,on-flush,options,schemas,several-orms,snapshots,sources,value-objects}',
  'model/model',
  'integration/{cache,cache-watching,cached,class-transformer,class-transformer-corners}',
];

/** The tests again, on another database than PostgreSQL. */
export const onDriver = (testDriver, base = config) => ({
  ...base,
  globals: { testDriver },
  testMatch: SUITES.map((suite) => `<rootDir>/test/${suite}.test.ts`),
});
