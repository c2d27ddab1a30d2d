import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { LockMode } from '@mikro-orm/core';
import { ByReference, EntitySerializer } from 'mikro-orm-byref';
import { Locked, Locks, postgresLocks } from 'mikro-orm-byref/locks';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { Doc, fenced, write } from '../support/fenced-doc.ts';
import { lockStores } from '../support/lock-stores.ts';

ByReference({ name: 'test.Doc' })(Doc);

let database: TestOrm;
const opened: Locks[] = [];
const locksOf = (tokenSequence = 'lock_tokens'): Locks => {
  const locks = new Locks(new EntitySerializer(database.orm), postgresLocks(database.orm, { tokenSequence }));
  opened.push(locks);
  return locks;
};
const execute = (sql: string): Promise<object[]> => database.orm.em.fork().getConnection().execute<object[]>(sql);

beforeAll(async () => {
  database = await openDatabase(fenced);
});
beforeEach(async () => {
  await execute('create sequence if not exists lock_tokens');
  const em = database.orm.em.fork();
  await em.nativeDelete(Doc, {});
  for (const id of [1, 2]) em.create(Doc, { id, body: 'first', fence: 0n });
  await em.flush();
});
afterEach(async () => {
  for (const locks of opened.splice(0)) await locks.close();
});
afterAll(() => database.close());

describe('a holder that stood still while its lock was lost', () => {
  let holder: ChildProcess;
  afterEach(() => void holder.kill('SIGKILL'));
  const told = async (): Promise<unknown> => (await once(holder, 'message'))[0];

  test('can’t land its stale write on a row that asks for its token', async () => {
    const script = fileURLToPath(new URL('../support/stale-writer.ts', import.meta.url));
    holder = fork(script, [database.url], { execArgv: [] });
    const staleToken = BigInt((await told()) as string);
    holder.kill('SIGSTOP');
    await (await lockStores['postgres']!(database.orm)).loseLocks();

    const em = database.orm.em.fork();
    const written = await locksOf().run(em.getReference(Doc, 1), async (_, { token }) => {
      expect(token).toBeGreaterThan(staleToken);
      return write(em, 'second', token!);
    });
    expect(written).toBe(1);

    holder.send('write');
    holder.kill('SIGCONT');
    expect(await told()).toEqual({ guarded: 0, unguarded: 1 });
    expect(await told()).toBe('E_LOCK_LOST');
    const bodies = (await database.orm.em.fork().find(Doc, {}, { orderBy: { id: 1 } })).map(({ body }) => body);
    expect(bodies).toEqual(['second', 'stale']);
  });
});

test('with a flush: the row is found by its fence and locked, in one transaction', async () => {
  const locks = locksOf();
  const change = (token: bigint): Promise<void> =>
    database.orm.em.fork().transactional(async (em) => {
      const guard = { id: 1, fence: { $lte: token } };
      const doc = await em.findOneOrFail(Doc, guard, { lockMode: LockMode.PESSIMISTIC_WRITE });
      Object.assign(doc, { body: `by ${token}`, fence: token });
    });
  const [earlier, later] = [await locks.run('doc', (_, lock) => lock.token!), await locks.acquire('doc')];
  await change(later.token!);
  await expect(change(earlier)).rejects.toThrow(/Doc not found/);
  await later.release();
  expect(await database.orm.em.fork().findOneOrFail(Doc, 1)).toMatchObject({ body: `by ${later.token}` });
});

test('what MikroORM makes of the schema leaves the sequence alone', async () => {
  expect(await database.orm.schema.getUpdateSchemaSQL()).toBe('');
});

test('a locked method asks its locks for the token', async () => {
  class Reports {
    readonly locks = locksOf();
    @Locked({ key: () => 'report' })
    async build(): Promise<bigint | undefined> {
      return this.locks.token;
    }
  }
  const reports = new Reports();
  const first = await reports.build();
  expect(await reports.build()).toBeGreaterThan(first!);
  expect(reports.locks.token).toBeUndefined();
});

describe('a sequence that gives no such tokens', () => {
  test('is refused by the first lock, with what to make', async () => {
    await execute('create sequence cached cache 10; create sequence falling increment -1; create sequence round cycle');
    for (const name of ['no_such', 'cached', 'falling', 'round', 'doc', 'no.such']) {
      const error = await failureOf(() => locksOf(name).run('key', () => 0));
      expect([error.code, error.message]).toEqual([
        'E_INVALID_OPTION',
        expect.stringMatching(/option tokenSequence: expected a sequence.*create sequence/),
      ]);
    }
    await execute('drop sequence cached, falling, round');
  });

  test('may be named with its schema, as SQL quotes it', async () => {
    await execute(`create schema if not exists "it's"; create sequence if not exists "it's"."Tokens"`);
    expect(await locksOf(`"it's"."Tokens"`).run('key', (_, { token }) => token)).toBe(1n);
    await execute(`drop schema "it's" cascade`);
  });

  test('leaves no lock behind when it is used up, or gone', async () => {
    await execute('create sequence short minvalue 1 maxvalue 2 start 2');
    const locks = locksOf('short');
    await locks.run('key', () => 0);
    await expect(locks.run('key', () => 0)).rejects.toMatchObject({ code: '2200H' });
    expect((await locksOf().tryRun('key', () => 0)).ran).toBe(true);
    await execute('drop sequence short');
    await expect(locks.run('key', () => 0)).rejects.toMatchObject({ code: '42P01' });
    expect((await locksOf().tryRun('key', () => 0)).ran).toBe(true);
  });
});
