import { startPostgres, type Server } from '../../fixtures/postgres.ts';
import { startRedis } from '../../fixtures/redis.ts';

declare global {
  var testServers: readonly Server[] | undefined;
}

/** One server of each kind for the whole run; each test file makes a database of its own. */
export default async function setUp(): Promise<void> {
  const postgres = await startPostgres();
  const redis = await startRedis();
  globalThis.testServers = redis === undefined ? [postgres] : [postgres, redis];
  process.env['TEST_DATABASE_URL'] = postgres.url;
  if (redis !== undefined) {
    process.env['TEST_REDIS_URL'] = redis.url;
  } else if (process.env['CI'] === 'true') {
    throw new Error(
      'Neither REDIS_URL nor a redis-server: BullMQ would be tested on PostgreSQL only, the cache in memory only.',
    );
  } else {
    process.stderr.write(
      'Neither REDIS_URL nor a redis-server: BullMQ is tested on PostgreSQL only, the cache in memory only.\n',
    );
  }
}
