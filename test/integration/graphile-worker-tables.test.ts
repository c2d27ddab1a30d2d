import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { makeWorkerUtils } from 'graphile-worker';
import { Client, Pool } from 'pg';
import { EntitySerializer } from 'mikro-orm-byref';
import { graphileWorkerEngine } from 'mikro-orm-byref/graphile-worker';
import { Tasks } from 'mikro-orm-byref/tasks';
import { domain } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { runnerOptions } from '../support/graphile-worker.ts';
import { queueName, until } from '../support/jobs.ts';

let database: TestOrm;
let client: Client;
const count = async (sql: string): Promise<number> => Number((await client.query(sql)).rows[0].count);

beforeAll(async () => {
  database = await openDatabase(domain);
  client = new Client(database.url);
  await client.connect();
  // Its own migrations are graphile-worker's affair.
  await (await makeWorkerUtils(runnerOptions(database.url))).release();
});
afterAll(async () => {
  await client.end();
  await database.close();
});

test('engines of several processes that start at once make their tables once', async () => {
  const serializer = new EntitySerializer(database.orm);
  const { connectionString, ...options } = runnerOptions(database.url);
  const pools = Array.from({ length: 4 }, () => new Pool({ connectionString, max: 1 }));
  // What graphile-worker's own migrations do on such a connection: from then on it looks up nothing that would tell it
  // what others have made.
  await Promise.all(pools.map((pool) => pool.query('create schema if not exists public')));
  const all = pools.map((pgPool) => new Tasks(serializer, graphileWorkerEngine({ ...options, pgPool })));
  // All of them come as far as the lock before the first may go on.
  await client.query(`begin; select pg_advisory_xact_lock(hashtext('mikro-orm-byref'))`);
  const enqueued = all.map((tasks) => tasks.define(queueName(), async () => undefined).delay({}));
  const settled = Promise.allSettled(enqueued);
  const waiting = `select count(*) from pg_locks where locktype = 'advisory' and not granted
    and database = (select oid from pg_database where datname = current_database())`;
  await until(async () => (await count(waiting)) === all.length);
  await client.query('commit');

  expect((await settled).map(({ status }) => status)).toEqual(all.map(() => 'fulfilled'));
  expect(await count(`select count(*) from pg_tables where schemaname = 'graphile_worker_byref'`)).toBe(2);
  for (const tasks of all) await tasks.stop();
  for (const pool of pools) await pool.end();
});
