/** Locks that MariaDB or MySQL keeps. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { EntitySerializer } from 'mikro-orm-byref';
import { Locks, mysqlLocks } from 'mikro-orm-byref/locks';
import { contractEntities, lockContract } from 'mikro-orm-byref/testing';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { soon } from '../support/soon.ts';
import { forkLockWorker, type LockStore, lockStores } from '../support/lock-stores.ts';

let database: TestOrm;
beforeAll(async () => {
  database = await openDatabase(contractEntities);
});
afterAll(() => database.close());

describe('locks of MySQL', () => {
  let store: LockStore;
  beforeAll(async () => {
    store = await lockStores['mysql']!(database.orm);
  });

  const worker = () => forkLockWorker('mysql', database.url);
  for (const { name, run } of lockContract(() => ({ ...store, orm: database.orm, worker }))) test(name, run);
});

test('they are on one session of their own, which close() ends', async () => {
  const own = await openDatabase(contractEntities);
  const sessions = async (): Promise<number> => {
    const sql = 'select count(*) as count from information_schema.processlist where db = database()';
    const [row] = await own.orm.em.fork().getConnection().execute<{ count: unknown }[]>(sql);
    return Number(row!.count);
  };
  const locks = new Locks(new EntitySerializer(own.orm), mysqlLocks(own.orm));
  const before = await sessions();
  await Promise.all(['a', 'b', 'c'].map((key) => locks.run(key, async () => undefined)));
  expect(await sessions()).toBe(before + 1);
  await locks.close();
  await soon(async () => (await sessions()) === before);
  await own.close();
});

test('keys of any length and case are locks of their own; namespaces too', async () => {
  const serializer = new EntitySerializer(database.orm);
  const [locks, others] = [
    new Locks(serializer, mysqlLocks(database.orm)),
    new Locks(serializer, mysqlLocks(database.orm, { namespace: 'others' })),
  ];
  const long = 'x'.repeat(100);
  const inside = await locks.run(long, () =>
    locks.run(`${long}y`, () =>
      locks.run(long.toUpperCase(), () => others.run(long, () => 'all', { waitMs: 0 }), { waitMs: 0 }),
    ),
  );
  expect(inside).toBe('all');
  await Promise.all([locks.close(), others.close()]);
});

test('the server frees what a process holds that says nothing for three heartbeats', async () => {
  const serializer = new EntitySerializer(database.orm);
  const locks = new Locks(serializer, mysqlLocks(database.orm, { heartbeatMs: 400 }));
  const busy = locks.run('busy', async () => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4_000));
  await expect(busy).rejects.toMatchObject({ code: 'E_LOCK_LOST' });
  expect(await locks.run('busy', () => 'free', { waitMs: 0 })).toBe('free');
  await locks.close();
});

test('bad options are refused', async () => {
  expect(await failureOf(() => mysqlLocks(database.orm, { pollMs: 0 }))).toMatchObject({ code: 'E_INVALID_OPTION' });
});
