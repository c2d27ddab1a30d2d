/** What a database can't do is refused before anything is lost; what it keeps otherwise comes back all the same. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type EntityManager, EntitySchema, LockMode } from '@mikro-orm/core';
import { EntitySerializer } from 'mikro-orm-byref';
import { graphileWorkerEngine } from 'mikro-orm-byref/graphile-worker';
import { Locks, postgresLocks } from 'mikro-orm-byref/locks';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
import { inlineEngine, Tasks } from 'mikro-orm-byref/tasks';
import { BigIntKey, CustomKey, DecimalKey, FlagKey, IntKey, keys, OrderLine, TextKey } from '../../fixtures/keys.ts';
import { isMikroOrm6, schemaOf } from '../../fixtures/majors.ts';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { driver, onMysql } from '../support/driver.ts';
import { failureOf } from '../support/failure.ts';

class Event {
  declare id: number;
  declare changedAt: Date;
}
class Tick {
  declare at: Date;
  declare isLast: boolean;
  declare note: string;
}

let database: TestOrm;
let serializer: EntitySerializer;
beforeAll(async () => {
  database = await openDatabase([
    ...keys,
    new EntitySchema<Event>({
      class: Event,
      properties: { id: { type: 'number', primary: true }, changedAt: { type: 'Date', version: true } },
    }),
    new EntitySchema<Tick>({
      class: Tick,
      properties: {
        at: { type: 'Date', primary: true, length: 3 },
        isLast: { type: 'boolean', primary: true },
        note: { type: 'string' },
      },
    }),
  ]);
  serializer = new EntitySerializer(database.orm);
});
afterAll(() => database.close());
beforeEach(async () => {
  await schemaOf(database.orm).clear();
  database.statements.length = 0;
});

const fork = (): EntityManager => database.orm.em.fork();
const decode = <T>(data: unknown, options = {}): Promise<T> =>
  serializer.decode<T>({ $byref: 1, data } as never, { em: fork(), ...options }) as Promise<T>;

describe('on every database', () => {
  test('composite keys are read a thousand at a time', async () => {
    await fork().insert(IntKey, { id: 1, note: '' } as never);
    const positions = Array.from({ length: 2_500 }, (_, index) => `line ${index}`);
    await fork().insertMany(OrderLine, positions.map((position) => ({ order: 1, position, note: position })) as never);
    database.statements.length = 0;
    const lines = await decode<OrderLine[]>(positions.map((position) => ({ $entity: ['OrderLine', [1, position]] })));
    expect(lines.map(({ note }) => note)).toEqual(positions);
    expect(selects(database.statements)).toHaveLength(3);
  });

  test('long text keys are read ten thousand at a time', async () => {
    const ids = Array.from({ length: 10_000 }, (_, index) => `${index} ${'x'.repeat(200)}`);
    await fork().insertMany(TextKey, ids.slice(0, 2).map((id) => ({ id, note: id })) as never);
    database.statements.length = 0;
    const back = await decode<unknown[]>(
      ids.map((id) => ({ $entity: ['TextKey', id] })),
      { missing: 'omit' },
    );
    expect(back).toHaveLength(2);
    // PostgreSQL is asked about those that came back short: a collation may have them be others' spellings.
    expect(selects(database.statements)).toHaveLength(driver === 'sqlite' ? 1 : 2);
  });

  test('instants and booleans in a key are what they were, in lazy references too', async () => {
    const at = new Date('2026-11-21T04:05:06.789Z');
    await fork().insert(Tick, { at, isLast: true, note: 'n' } as never);
    const token = { $entity: ['Tick', [{ $date: at.toISOString() }, true]] };
    expect(serializer.encode(await fork().findOneOrFail(Tick, { note: 'n' }))['data']).toEqual(token);
    for (const freshness of ['refresh', 'lazy'] as const) {
      const tick = await decode<Tick>(token, { freshness });
      expect([tick.at, tick.isLast]).toStrictEqual([at, true]);
    }
    expect(await decode({ $entity: ['Tick', [{ $date: at.toISOString() }, false]] }, { missing: 'null' })).toBeNull();
  });

  test('a date that dates a row is compared as the database keeps it', async () => {
    const em = fork();
    const event = em.create(Event, { id: 1 } as never);
    await em.flush();
    const { data } = serializer.encode(event, { versions: true });
    expect(await decode(data, { drift: 'throw' })).toBeInstanceOf(Event);
    // What MikroORM has a version date be: text on SQLite in 6, a number in 7.
    const onSqlite = isMikroOrm6 ? `datetime(changed_at, '+1 minute')` : 'changed_at + 60000';
    const later = driver === 'sqlite' ? onSqlite : `changed_at + interval ${onMysql ? 1 : "'1'"} minute`;
    await fork().getConnection().execute(`update event set changed_at = ${later}`);
    expect((await failureOf(() => decode(data, { drift: 'throw' }))).code).toBe('E_DRIFT');
  });
});

const driverClass = {
  sqlite: isMikroOrm6 ? 'LibSqlDriver' : 'SqliteDriver',
  mariadb: 'MariaDbDriver',
  mysql: 'MySqlDriver',
}[driver as string];

/** Nothing is asked of them: they are refused, or named, before they connect. */
const ENGINES = {
  'pg-boss': () => pgBossEngine({} as never),
  'graphile-worker': () => graphileWorkerEngine({ connectionString: 'postgresql://nobody@127.0.0.1:1/nowhere' }),
};

if (driver === 'sqlite') {
  describe('on SQLite', () => {
    test('lockMode is refused, in a transaction and outside, and nothing is read', async () => {
      await fork().insert(IntKey, { id: 1, note: '' } as never);
      database.statements.length = 0;
      const token = { $entity: ['IntKey', 1] };
      const lockMode = LockMode.PESSIMISTIC_WRITE;
      expect((await failureOf(() => decode(token, { lockMode }))).code).toBe('E_UNSUPPORTED');
      await fork().transactional(async (em) => {
        const error = await failureOf(() => decode(token, { em, lockMode }));
        expect([error.code, error.retryable, error.message]).toEqual([
          'E_UNSUPPORTED',
          false,
          `The option lockMode on ${driverClass} is not supported here; SQLite has no row locks: leave the option out, as its transactions write one after the other.`,
        ]);
      });
      expect(selects(database.statements)).toEqual([]);
    });

    test('a task with lockMode is refused where it is defined, not when its job runs', async () => {
      const tasks = new Tasks(serializer, inlineEngine());
      const error = await failureOf(() => tasks.define('a', () => 1, { lockMode: LockMode.PESSIMISTIC_WRITE }));
      expect(error.code).toBe('E_UNSUPPORTED');
    });

    test('integers of 53 bits travel, whatever type their columns are of', async () => {
      const id = Number.MAX_SAFE_INTEGER;
      await fork().insert(IntKey, { id, note: 'n' } as never);
      await fork().insert(BigIntKey, { id: BigInt(id), note: 'n' } as never);
      const rows = [await fork().findOneOrFail(IntKey, id), await fork().findOneOrFail(BigIntKey, BigInt(id))];
      const { data } = serializer.encode(rows);
      expect(data).toEqual([{ $entity: ['IntKey', id] }, { $entity: ['BigIntKey', { $bigint: String(id) }] }]);
      expect((await decode<(IntKey | BigIntKey)[]>(data)).map((row) => row.id)).toStrictEqual([id, BigInt(id)]);
    });

    test('numbers that it or its driver would round are refused, as they would name another row', async () => {
      const em = fork();
      const large = em.create(BigIntKey, { id: 9_007_199_254_740_993n, note: 'n' });
      const long = em.create(DecimalKey, { id: '12345678901234567890.5', note: 'n' });
      await em.flush();
      for (const entity of [large, await fork().findOneOrFail(BigIntKey, { note: 'n' }), long]) {
        const error = await failureOf(() => serializer.serialize(entity));
        expect([error.code, error.message]).toEqual(['E_UNSERIALIZABLE', expect.stringMatching(/53 bits|15 digits/)]);
      }
      for (const token of [
        ['BigIntKey', { $bigint: '9007199254740993' }],
        ['IntKey', 2 ** 53],
        ['DecimalKey', '12345678901234567890.5'],
        ['DecimalKey', '0.0000001'],
      ]) {
        expect((await failureOf(() => decode({ $entity: token }))).code).toBe('E_MALFORMED');
      }
    });

    test('decimals of 15 digits and text are compared as SQLite compares them', async () => {
      await fork().insert(DecimalKey, { id: '1234567890.50', note: 'n' } as never);
      await fork().insert(CustomKey, { id: 'inv_5000000000', note: 'n' } as never);
      await fork().insert(FlagKey, { flag: false, ratio: 0.1, at: '10:20:30', note: 'n' } as never);
      const find = (model: new () => object) => fork().findOneOrFail(model, { note: 'n' } as never);
      const rows = await Promise.all([DecimalKey, CustomKey, FlagKey].map(find));
      const { data } = serializer.encode(rows);
      expect(data).toEqual([
        { $entity: ['DecimalKey', '1234567890.5'] },
        { $entity: ['CustomKey', 5_000_000_000] },
        { $entity: ['FlagKey', [false, 0.1, '10:20:30']] },
      ]);
      expect(await decode(data)).toHaveLength(3);
    });
  });
}

if (driver === 'sqlite' || onMysql) {
  test.each(Object.entries(ENGINES))('the engine of %s is refused where tasks are made', async (name, engine) => {
    const error = await failureOf(() => new Tasks(serializer, engine()));
    expect([error.code, error.message]).toEqual([
      'E_UNSUPPORTED',
      `The engine of ${name} on ${driverClass} is not supported here; its jobs are part of transactions of PostgreSQL; on other databases, take bullmqEngine().`,
    ]);
    await fork().transactional(async (em) => {
      expect((await failureOf(() => engine().enqueue([], em))).code).toBe('E_UNSUPPORTED');
    });
  });
} else {
  test.each(Object.entries(ENGINES))('the engine of %s is accepted', (_name, engine) => {
    expect(new Tasks(serializer, engine())).toBeInstanceOf(Tasks);
  });
}

if (driver !== 'postgresql') {
  test('advisory locks are refused, and what they guard does not run', async () => {
    const locks = new Locks(serializer, postgresLocks(database.orm));
    let hasRun = false;
    const error = await failureOf(() => locks.run('key', () => void (hasRun = true)));
    expect([error.code, hasRun]).toEqual(['E_UNSUPPORTED', false]);
    expect(error.message).toMatch(/on other databases, verrouLocks\(\)/);
    await locks.close();
  });
}
