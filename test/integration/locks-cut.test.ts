import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { EntitySerializer } from 'mikro-orm-byref';
import { type LockProvider, Locks, postgresLocks } from 'mikro-orm-byref/locks';
import { domain } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { Client } from 'pg';
import { until } from '../support/jobs.ts';

let database: TestOrm;
const opened: Locks[] = [];
const locksOf = (provider: LockProvider = postgresLocks(database.orm)): Locks => {
  const locks = new Locks(new EntitySerializer(database.orm), provider);
  opened.push(locks);
  return locks;
};
const execute = <T extends object>(sql: string): Promise<T[]> =>
  database.orm.em.fork().getConnection().execute<T[]>(sql);
beforeAll(async () => {
  database = await openDatabase(domain);
});
afterEach(async () => {
  for (const locks of opened.splice(0)) await locks.close();
});
afterAll(() => database.close());

test('a waiting call goes on waiting however often its connection is cut', async () => {
  const [holder, waiter] = [locksOf(), locksOf()];
  const lock = await holder.acquire('key');
  const waiting = waiter.run('key', () => 'ran').catch((error: Error) => error);
  const waiters = () =>
    execute<{ pid: number }>("select pid from pg_locks where locktype = 'advisory' and mode = 'ShareLock'");
  let last = 0;
  for (let i = 0; i < 3; i++) {
    await until(async () => {
      const [one] = await waiters();
      return one !== undefined && one.pid !== last;
    });
    last = (await waiters())[0]!.pid;
    await execute(`select pg_terminate_backend(${last})`);
    await sleep(100);
  }
  await sleep(200);
  await lock.release();
  expect(await waiting).toBe('ran');
});

test('work does not begin under a lock that is known to be lost', async () => {
  const holder = locksOf();
  let client: Client | undefined;
  const connection = () => {
    client = new Client({ connectionString: database.url });
    const query = client.query.bind(client) as (sql: string) => Promise<never>;
    return Object.assign(client, {
      query: async (sql: string) => {
        // The connection is cut between the lock that a waiting call got and its next statement.
        if (sql.includes('unlock_shared')) {
          const ended = new Promise((resolve) => client!.once('end', resolve));
          await execute(`select pg_terminate_backend(${(client as unknown as { processID: number }).processID})`);
          await ended;
        }
        return query(sql);
      },
    }) as never;
  };
  const locks = locksOf(postgresLocks(database.orm, { connection, pollMs: 50 }));
  const lock = await holder.acquire('key');
  let wasLost: boolean | undefined;
  const waiting = locks.run('key', (signal) => void (wasLost = signal.aborted)).catch((error: Error) => error);
  await sleep(200);
  await lock.release();
  expect([await waiting, wasLost]).toEqual([undefined, false]);
});

test('a release asked for twice: both resolve when the lock is free', async () => {
  const mayUnlock = Promise.withResolvers<void>();
  const connection = () => {
    const client = new Client({ connectionString: database.url });
    const query = client.query.bind(client) as (sql: string) => Promise<never>;
    return Object.assign(client, {
      query: async (sql: string) => {
        if (sql.includes('pg_advisory_unlock(')) await mayUnlock.promise;
        return query(sql);
      },
    }) as never;
  };
  const [locks, others] = [locksOf(postgresLocks(database.orm, { connection })), locksOf()];
  const lock = await locks.acquire('key');
  const first = lock.release();
  const second = lock.release();
  setTimeout(() => mayUnlock.resolve(), 500);
  await second;
  const tried = await others.tryRun('key', () => 0);
  await first;
  expect(tried.ran).toBe(true);
});
