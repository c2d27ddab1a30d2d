import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startMariadb } from '../../fixtures/mariadb.ts';
import { startPostgres, type Server } from '../../fixtures/postgres.ts';
import { startRedis } from '../../fixtures/redis.ts';

declare global {
  var testServers: readonly Server[] | undefined;
}

/** One server of each kind for the whole run; each test file makes a database of its own. */
export default async function setUp(_run: unknown, { globals }: { globals: { testDriver?: string } }): Promise<void> {
  const postgres = globals.testDriver === undefined ? await startPostgres() : undefined;
  const redis = await startRedis();
  const mariadb = ['mariadb', 'mysql'].includes(globals.testDriver ?? '') ? await startMariadb() : undefined;
  const pglite = globals.testDriver === 'pglite' ? await makePglite() : undefined;
  globalThis.testServers = [postgres, redis, mariadb, pglite].filter((server) => server !== undefined);
  if (pglite !== undefined) process.env['TEST_PGLITE_TEMPLATE'] = pglite.url;
  if (mariadb !== undefined) process.env['TEST_MARIADB_URL'] = mariadb.url;
  if (postgres !== undefined) process.env['TEST_DATABASE_URL'] = postgres.url;
  if (redis !== undefined) process.env['TEST_REDIS_URL'] = redis.url;
}

/** An empty cluster in a file, which each database of the tests is a copy of: that is five times as fast as making one. */
async function makePglite(): Promise<Server> {
  const { PGlite } = await import('@electric-sql/pglite');
  const folder = mkdtempSync(join(tmpdir(), 'byref-pglite-'));
  const template = join(folder, 'template.tar');
  const pglite = await PGlite.create();
  writeFileSync(template, await (await pglite.dumpDataDir('none')).bytes());
  await pglite.close();
  return { url: template, stop: async () => rmSync(folder, { recursive: true, force: true }) };
}
