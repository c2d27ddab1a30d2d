import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type EntityManager, EntitySchema, LockMode, RequestContext } from '@mikro-orm/core';
import { PgBoss } from 'pg-boss';
import { afterCommit, ByReference, EntitySerializer } from 'mikro-orm-byref';
import { EntityCache } from 'mikro-orm-byref/cache';
import { pgBossEngine } from 'mikro-orm-byref/pg-boss';
import { type Change, inlineEngine, Tasks } from 'mikro-orm-byref/tasks';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { inMemory } from '../support/bento.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { describeWith } from '../support/test-with.ts';
import { queueName, until } from '../support/jobs.ts';

class User {
  declare id: number;
  declare name: string;
}
class Invoice {
  declare id: number;
  declare name: string;
}
const properties = { id: { type: 'number', primary: true }, name: { type: 'string' } } as const;
const entity = <T>(cls: new () => T, tableName?: string): EntitySchema<T> =>
  new EntitySchema<T>({ class: cls, properties, ...(tableName !== undefined && { tableName }) } as never);

let shop: TestOrm;
let billing: TestOrm;
let serializer: EntitySerializer;

beforeAll(async () => {
  [shop, billing] = await Promise.all([
    openDatabase([entity(User)]),
    openDatabase([entity(Invoice)], { contextName: 'billing' }),
  ]);
  serializer = new EntitySerializer([shop.orm, billing.orm]);
  const [em, other] = forks();
  em.create(User, { id: 1, name: 'Ann' });
  for (const id of [1, 2]) other.create(Invoice, { id, name: `F${id}` });
  await Promise.all([em.flush(), other.flush()]);
});
afterAll(async () => {
  await Promise.all([shop?.close(), billing?.close()]);
});
beforeEach(() => {
  shop.statements.length = billing.statements.length = 0;
});

const forks = (): [EntityManager, EntityManager] => [shop.orm.em.fork(), billing.orm.em.fork()];
const payload = {
  $byref: 1,
  data: [{ $entity: ['User', 1] }, { $entity: ['Invoice', 1] }, { $entity: ['Invoice', 2] }],
};

describe('the ORM of a token is that of its model', () => {
  test('one payload, one query per model, each on its own connection', async () => {
    const [em, other] = forks();
    const value = [await em.findOneOrFail(User, 1), ...(await other.find(Invoice, {}, { orderBy: { id: 1 } }))];
    expect(serializer.encode(value)).toEqual(payload);
    shop.statements.length = billing.statements.length = 0;
    const back = await serializer.decode<(User | Invoice)[]>(payload, { em: forks() });
    expect(back.map(({ name }) => name)).toEqual(['Ann', 'F1', 'F2']);
    expect([selects(shop.statements).length, selects(billing.statements).length]).toEqual([1, 1]);
  });

  test('the EntityManagers of the request', async () => {
    await RequestContext.create([shop.orm.em, billing.orm.em], async () => {
      const [user, invoice] = await serializer.decode<object[]>(payload);
      expect(user).toBe(await shop.orm.em.findOne(User, 1));
      expect(invoice).toBe(await billing.orm.em.findOne(Invoice, 1));
    });
  });

  test('an ORM that no token names needs no EntityManager', async () => {
    const data = payload.data.slice(0, 1);
    await RequestContext.create(shop.orm.em, async () => {
      expect(await serializer.decode({ $byref: 1, data })).toMatchObject([{ name: 'Ann' }]);
      await expect(serializer.decode(payload)).rejects.toThrow('global EntityManager');
    });
    expect(await serializer.decode({ $byref: 1, data }, { em: shop.orm.em.fork() })).toMatchObject([{ name: 'Ann' }]);
  });

  test('missing rows of both, in one error', async () => {
    const data = [{ $entity: ['User', 9] }, { $entity: ['Invoice', 9] }];
    const error = await failureOf(() => serializer.decode({ $byref: 1, data }, { em: forks() }));
    expect(error.code).toBe('E_ENTITY_NOT_FOUND');
    expect(error.tokens.map(({ model }) => model)).toEqual(['User', 'Invoice']);
  });

  test('several payloads at once', async () => {
    const [one, two] = [payload.data.slice(0, 2), payload.data.slice(2)];
    const results = await serializer.decodeAll(
      [
        { $byref: 1, data: one },
        { $byref: 1, data: two },
      ],
      { em: forks() },
    );
    expect(results).toMatchObject([{ value: [{ name: 'Ann' }, { name: 'F1' }] }, { value: [{ name: 'F2' }] }]);
    expect([selects(shop.statements).length, selects(billing.statements).length]).toEqual([1, 1]);
  });

  test('afterCommit waits for the transaction of the ORM it is given', async () => {
    const seen: string[] = [];
    await billing.orm.em.fork().transactional(async (em) => {
      afterCommit(em, async (own) => seen.push((await own.findOneOrFail(Invoice, 1)).name));
      expect(seen).toEqual([]);
    });
    await until(() => seen.length > 0);
    expect(seen).toEqual(['F1']);
  });
});

describeWith('connections', 'postgres')('row locks', () => {
  const locking = { lockMode: LockMode.PESSIMISTIC_WRITE } as const;
  const transactional = <T>(fn: (em: [EntityManager, EntityManager]) => Promise<T>): Promise<T> =>
    shop.orm.em.fork().transactional((em) => billing.orm.em.fork().transactional((other) => fn([em, other])));

  test('one ORM after the other: no database would notice a deadlock across two', async () => {
    const waiting = await billing.orm.em.fork().transactional(async (holder) => {
      // MikroORM 6 writes into the options that it is given.
      await holder.findOneOrFail(Invoice, 1, { ...locking });
      const data = payload.data.slice(0, 2);
      const decoding = transactional((em) => serializer.decode<object[]>({ $byref: 1, data }, { em, ...locking }));
      const waiters = `select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`;
      await until(async () => (await holder.getConnection().execute(waiters)).length > 0);
      const free = { lockMode: LockMode.PESSIMISTIC_WRITE_OR_FAIL } as const;
      await shop.orm.em.fork().transactional((em) => em.findOneOrFail(User, 1, free));
      return { decoding };
    });
    expect(await waiting.decoding).toMatchObject([{ name: 'Ann' }, { name: 'F1' }]);
  });

  test('a payload whose ORM is in no transaction is refused, others beside it are read', async () => {
    const payloads = payload.data.map((data) => ({ $byref: 1, data }));
    const results = await shop.orm.em
      .fork()
      .transactional((em) => serializer.decodeAll(payloads, { em: [em, billing.orm.em.fork()], ...locking }));
    const reason = { code: 'E_INVALID_OPTION' };
    expect(results).toMatchObject([{ value: { name: 'Ann' } }, { reason }, { reason }]);
  });
});

describe('jobs', () => {
  test('the ambient transaction is that of whichever ORM has one', async () => {
    const tasks = new Tasks(serializer, inlineEngine());
    const seen: unknown[] = [];
    const task = tasks.define('note', async ({ text }: { text: string }) => seen.push(text));
    await tasks.work();
    await RequestContext.create([shop.orm.em, billing.orm.em], async () => {
      const failing = billing.orm.em.transactional(async () => {
        await task.delay({ text: 'rolled back' });
        throw new Error('no');
      });
      await expect(failing).rejects.toThrow('no');
      await billing.orm.em.transactional(async () => {
        await task.delay({ text: 'committed' });
      });
    });
    await until(() => seen.length > 0);
    expect(seen).toEqual(['committed']);
    await tasks.stop();
  });

  test('a handler has a request context of each ORM; a job of a transaction elsewhere leaves with its commit', async () => {
    const tasks = new Tasks(serializer, inlineEngine());
    const seen: unknown[] = [];
    const task = tasks.define('pay', async ({ user, invoice }: { user: User; invoice: Invoice }) => {
      const same = invoice === (await billing.orm.em.findOne(Invoice, invoice.id));
      seen.push([user.name, invoice.name, same]);
    });
    await tasks.work();
    await billing.orm.em.fork().transactional(async (em) => {
      const invoice = await em.findOneOrFail(Invoice, 1);
      invoice.name = 'paid';
      await task.delay({ user: shop.orm.em.fork().getReference(User, 1), invoice });
    });
    await until(() => seen.length > 0);
    expect(seen).toEqual([['Ann', 'paid', true]]);
    await tasks.stop();
    const em = billing.orm.em.fork();
    (await em.findOneOrFail(Invoice, 1)).name = 'F1';
    await em.flush();
  });
});

describe('the cache', () => {
  test('a commit of either ORM invalidates; a hit reads both', async () => {
    const bento = inMemory();
    const cache = new EntityCache(serializer, bento, { singleProcess: true });
    const read = (): Promise<{ note: string; list: { name: string }[] }> =>
      cache.getOrSet({
        key: 'both',
        ttlMs: 60_000,
        factory: async (em) => {
          const user = await em.findOneOrFail(User, 1);
          const invoice = await billing.orm.em.findOneOrFail(Invoice, 1);
          return { note: `${user.name} ${invoice.name}`, list: [user, invoice] };
        },
      });
    await RequestContext.create([shop.orm.em, billing.orm.em], async () => {
      expect((await read()).note).toBe('Ann F1');
      for (const [orm, cls, note] of [
        [billing.orm, Invoice, 'Ann new'],
        [shop.orm, User, 'new new'],
      ] as const) {
        const em = orm.em.fork();
        (await em.findOneOrFail<User | Invoice>(cls, 1)).name = 'new';
        await em.flush();
        expect((await read()).note).toBe(note);
      }
      await cache.touch(Invoice, { id: 1 });
      const foreign = await failureOf(() => cache.touch(Invoice, { id: 1 }, { em: shop.orm.em.fork() }));
      expect(foreign.code).toBe('E_INVALID_OPTION');
      shop.statements.length = billing.statements.length = 0;
      expect((await read()).list.map(({ name }) => name)).toEqual(['new', 'new']);
    });
    await bento.disconnectAll();
  });
});

describe('a factory in a transaction', () => {
  test('has nothing of what the request has in memory of the other ORM', async () => {
    const bento = inMemory();
    const cache = new EntityCache(serializer, bento, { singleProcess: true });
    const value = await RequestContext.create([shop.orm.em, billing.orm.em], async () => {
      (await billing.orm.em.findOneOrFail(Invoice, 2)).name = 'unflushed';
      const factory = async () => (await billing.orm.em.findOneOrFail(Invoice, 2)).name;
      return shop.orm.em.transactional((em) => cache.getOrSet({ key: 'name', ttlMs: 60_000, factory, em }));
    });
    expect(value).not.toBe('unflushed');
    const again = shop.orm.em.fork().transactional((em) =>
      cache.getOrSet({
        key: 'without a request',
        ttlMs: 60_000,
        factory: async () => (await billing.orm.em.findOneOrFail(Invoice, 2)).name,
        em,
      }),
    );
    expect(await again).toBe(value);
    await bento.disconnectAll();
  });
});

describeWith('connections', 'postgres')('jobs in the first database, entities in the second', () => {
  let boss: PgBoss;
  let tasks: Tasks;

  beforeAll(async () => {
    boss = new PgBoss({ connectionString: shop.url, supervise: false, schedule: false });
    boss.on('error', () => undefined);
    await boss.start();
    tasks = new Tasks(serializer, pgBossEngine(boss, { pollingIntervalSeconds: 0.5 }));
  });
  afterAll(async () => {
    await tasks?.stop();
    await boss?.stop({ graceful: false });
  });

  test('a job leaves with the commit of either, onFlush too', async () => {
    const [queue, flushes] = [queueName(), queueName()];
    const task = tasks.define(queue, async (_args: object) => undefined);
    const flushed = tasks.define(flushes, async ({ token, entity }: Change<Invoice>) => [token.model, entity?.name], {
      missing: 'null',
    });
    tasks.onFlush([Invoice], flushed);
    await tasks.work();
    const count = async (): Promise<number> =>
      (await shop.orm.em.fork().getConnection().execute('select 1 from pgboss.job where name = ?', [queue])).length;
    for (const orm of [shop.orm, billing.orm]) {
      const before = await count();
      const handle = await orm.em.fork().transactional(async (em) => {
        const queued = await task.delay({ em: 1 }, { em });
        expect(await count()).toBe(before);
        return queued;
      });
      await handle.enqueued;
      expect(await count()).toBe(before + 1);
    }
    const em = billing.orm.em.fork();
    (await em.findOneOrFail(Invoice, 2)).name = 'sent';
    await em.flush();
    const results = (): Promise<{ output: { data: unknown[] } }[]> =>
      shop.orm.em
        .fork()
        .getConnection()
        .execute(`select output from pgboss.job where name = ? and state = 'completed'`, [flushes]);
    await until(async () => (await results()).length === 1);
    expect((await results())[0]!.output.data).toEqual(['Invoice', 'sent']);
  });

  test('entities in two transactions are E_TRANSACTION_MISMATCH', async () => {
    const task = tasks.define(queueName(), async (_args: object) => undefined);
    const error = await failureOf(() =>
      shop.orm.em.fork().transactional((em) =>
        billing.orm.em.fork().transactional(async (other) => {
          await task.delay({ user: em.getReference(User, 1), invoice: other.getReference(Invoice, 1) });
        }),
      ),
    );
    expect(error.code).toBe('E_TRANSACTION_MISMATCH');
  });
});

describe('what can not be told apart', () => {
  const other = (entities: EntitySchema<never>[], contextName: string): Promise<TestOrm> =>
    openDatabase(entities as never, { contextName });

  test('one name in two ORMs is E_DUPLICATE_MODEL, unless they are named apart', async () => {
    const named = (): new () => User => ({ User: class User {} }).User as never;
    const [Same, Apart] = [named(), named()];
    ByReference({ name: 'crm.User' })(Apart);
    const [same, apart] = await Promise.all([Same, Apart].map((cls) => other([entity(cls) as never], 'crm')));
    const error = await failureOf(() => new EntitySerializer([shop.orm, same!.orm]));
    expect([error.code, error.message]).toEqual(['E_DUPLICATE_MODEL', expect.stringContaining('ORM "crm"')]);
    expect(new EntitySerializer([shop.orm, apart!.orm]).registry.names).toEqual(['User', 'crm.User']);
    await Promise.all([same!.close(), apart!.close()]);
  });

  test('one class in two ORMs is E_DUPLICATE_MODEL', async () => {
    const Shared = class Shared extends User {};
    const [one, two] = await Promise.all(['one', 'two'].map((name) => other([entity(Shared) as never], name)));
    const error = await failureOf(() => new EntitySerializer([one!.orm, two!.orm]));
    expect([error.code, error.message]).toEqual(['E_DUPLICATE_MODEL', expect.stringMatching(/"one" and "two"/)]);
    expect(new EntitySerializer([one!.orm, two!.orm], { models: 'declared' }).registry.names).toEqual([]);
    await Promise.all([one!.close(), two!.close()]);
  });

  test('no ORM, two of one contextName, an EntityManager of another ORM: E_INVALID_OPTION', async () => {
    const [em, foreign] = forks();
    const one = new EntitySerializer(shop.orm);
    for (const make of [
      () => new EntitySerializer([]),
      () => new EntitySerializer([shop.orm, shop.orm]),
      () => new EntitySerializer([shop.orm, {} as never]),
      () => new EntitySerializer(shop.orm.em as never),
      () => one.decode(payload, { em: foreign }),
      () => one.decode(payload, { em: [em, foreign] }),
      () => serializer.decode(payload, { em: [em, em.fork()] }),
      () => serializer.decode(payload, { em: 'em' as never }),
    ]) {
      expect((await failureOf(async () => make())).code).toBe('E_INVALID_OPTION');
    }
    expect([shop.statements, billing.statements]).toEqual([[], []]);
  });
});
