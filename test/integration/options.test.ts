import { setTimeout as sleep } from 'node:timers/promises';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type EntityManager, IsolationLevel, LockMode, OptimisticLockError } from '@mikro-orm/core';
import {
  type DeserializeOptions,
  type Drift,
  EntitySerializer,
  EntityToken,
  type ReviveReport,
  type ReviveTrace,
} from 'mikro-orm-byref';
import { Comment, domain, Post, User } from '../../fixtures/domain.ts';
import { schemaOf } from '../../fixtures/majors.ts';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { driver, onMysql } from '../support/driver.ts';
import { failureOf } from '../support/failure.ts';
import { describeWith, testWith } from '../support/test-with.ts';

let database: TestOrm;
let serializer: EntitySerializer;
let em: EntityManager;

beforeAll(async () => {
  database = await openDatabase(domain, {
    filters: { short: { cond: { title: { $ne: 'hidden' } }, entity: ['Post'], default: true } },
  });
  serializer = new EntitySerializer(database.orm);
});
afterAll(() => database.close());

beforeEach(async () => {
  await schemaOf(database.orm).clear();
  em = database.orm.em.fork();
  for (const id of [1, 2, 3]) {
    const author = em.create(User, { id, name: `n${id}`, email: 'old' });
    const post = em.create(Post, { id, title: `t${id}`, body: 'b', author });
    em.create(Comment, { id: BigInt(id), text: 'c', post, author });
  }
  await em.flush();
  database.statements.length = 0;
});

const fork = (): EntityManager => database.orm.em.fork();
const execute = (sql: string): Promise<unknown> => fork().getConnection().execute(sql);
const user = (id: number): object => ({ $entity: ['User', id] });
const post = (id: number): object => ({ $entity: ['Post', id] });
const decode = <T>(data: unknown, options: DeserializeOptions = {}): Promise<T> =>
  serializer.decode<T>({ $byref: 1, data } as never, { em: fork(), ...options }) as Promise<T>;

describe('missing', () => {
  test('throw lists all missing tokens, each once, and is permanent', async () => {
    const error = await failureOf(() => decode([user(1), user(8), { a: post(9) }, user(8)]));
    expect([error.code, error.retryable, error.path, error.model]).toEqual([
      'E_ENTITY_NOT_FOUND',
      false,
      '$[1]',
      'User',
    ]);
    expect(error.tokens.map((token) => [token.model, token.primaryKey])).toEqual([
      ['User', 8],
      ['Post', 9],
    ]);
    expect(error.message).toContain('["User",8], ["Post",9]');
  });

  test('null stands in every place', async () => {
    const data = {
      list: [user(8), user(1)],
      map: { $map: [[user(8), user(8)]] },
      set: { $set: [user(8), 1] },
      at: user(8),
    };
    const back = await decode<{ list: unknown[]; map: Map<unknown, unknown>; set: Set<unknown>; at: null }>(data, {
      missing: 'null',
    });
    expect([back.list[0], back.list[1], [...back.map], [...back.set], back.at]).toEqual([
      null,
      expect.any(User),
      [[null, null]],
      [null, 1],
      null,
    ]);
    expect(await decode(user(8), { missing: 'null' })).toBeNull();
  });

  test('omit drops array, Map and Set entries and object keys', async () => {
    const data = {
      list: [user(8), 'a', user(1), user(8)],
      nested: [[user(8)], [user(2)]],
      key: {
        $map: [
          [user(8), 1],
          [user(1), 2],
        ],
      },
      value: {
        $map: [
          ['x', user(8)],
          ['y', user(1)],
        ],
      },
      set: { $set: [user(8), user(1)] },
      at: user(8),
      odd: {
        $object: [
          ['__proto__', user(8)],
          ['a\u0001', user(1)],
        ],
      },
    };
    const back = await decode<Record<string, unknown>>(data, { missing: 'omit' });
    const one = (back['list'] as unknown[])[1];
    expect(back['list']).toEqual(['a', one]);
    expect((back['nested'] as unknown[][]).map((item) => item.length)).toEqual([0, 1]);
    expect([...(back['key'] as Map<unknown, unknown>)]).toEqual([[one, 2]]);
    expect([...(back['value'] as Map<unknown, unknown>)]).toEqual([['y', one]]);
    expect([...(back['set'] as Set<unknown>)]).toEqual([one]);
    expect('at' in back).toBe(false);
    expect(Object.keys(back['odd'] as object)).toEqual(['a\u0001']);
    expect(await decode(user(8), { missing: 'omit' })).toBeUndefined();
  });

  test('a call goes before the serializer', async () => {
    const lenient = new EntitySerializer(database.orm, { missing: 'null' });
    const payload = { $byref: 1, data: user(8) };
    expect(await lenient.decode(payload as never, { em: fork() })).toBeNull();
    expect((await failureOf(() => lenient.decode(payload as never, { em: fork(), missing: 'throw' }))).code).toBe(
      'E_ENTITY_NOT_FOUND',
    );
  });
});

describe('only', () => {
  test('refuses other models before any query, with the path', async () => {
    const error = await failureOf(() => decode([user(1), post(1)], { only: [User] }));
    expect([error.code, error.path, error.model]).toEqual(['E_MODEL_NOT_ALLOWED', '$[1]', 'Post']);
    expect(error.message).toContain('expected User');
    expect(database.statements).toEqual([]);
    expect(await decode([user(1), post(1)], { only: [User, Post] })).toHaveLength(2);
  });

  test('an empty list admits nothing, a class that is none of the ORM is a mistake', async () => {
    expect((await failureOf(() => decode(user(1), { only: [] }))).code).toBe('E_MODEL_NOT_ALLOWED');
    expect((await failureOf(() => decode(user(1), { only: [Map] }))).code).toBe('E_INVALID_OPTION');
  });
});

describe('populate and filters', () => {
  test('relations are loaded per model', async () => {
    const back = await decode<[Post, User]>([post(1), user(1)], { populate: { Post: ['comments.author', 'author'] } });
    expect([back[0].comments.isInitialized(), back[0].comments[0]!.author.isInitialized()]).toEqual([true, true]);
    expect(back[0].author.unwrap()).toBe(back[1]);
    expect(back[1].posts.isInitialized()).toBe(false);
  });

  test.each(['comments', 'author:ref', 'comments.author', '*'])('%s is what em.find takes', async (path) => {
    expect(await decode(post(1), { populate: { Post: [path] } })).toBeInstanceOf(Post);
  });

  test.each(['nope', 'author.nope', 'title.length', '', 'constructor'])(
    '%j is refused before any query',
    async (path) => {
      const error = await failureOf(() => decode(post(1), { populate: { Post: [path] } }));
      expect([error.code, error.message]).toEqual([
        'E_INVALID_OPTION',
        expect.stringContaining('option populate.Post'),
      ]);
      expect(database.statements).toEqual([]);
    },
  );

  test("the application's own filters hide rows, and can be switched per model or all", async () => {
    await execute(`update post set title = 'hidden' where id = 1`);
    expect((await failureOf(() => decode(post(1)))).code).toBe('E_ENTITY_NOT_FOUND');
    expect(await decode(post(1), { filters: { Post: { short: false } } })).toBeInstanceOf(Post);
    expect(await decode(post(1), { filters: false })).toBeInstanceOf(Post);
    expect((await failureOf(() => decode(post(1), { filters: { User: { short: false } } }))).code).toBe(
      'E_ENTITY_NOT_FOUND',
    );
  });
});

describe('drift', () => {
  const versioned = async (): Promise<object> => {
    const payload = serializer.encode(await em.find(User, { id: [1, 2] }, { orderBy: { id: 'asc' } }), {
      versions: true,
    });
    expect(payload).toEqual({
      $byref: 1,
      data: [{ $entity: ['User', 1, { version: 1 }] }, { $entity: ['User', 2, { version: 1 }] }],
    });
    return payload['data'] as object;
  };

  test('a newer row is fresh, and visible where one asks', async () => {
    const data = await versioned();
    await execute('update "user" set version = 3 where id = 2');
    let report: ReviveReport | undefined;
    expect(await decode(data, { onRevive: (r) => (report = r) })).toHaveLength(2);
    expect(report!.drifted.map((token) => [token.primaryKey, token.version])).toEqual([[2, 1]]);
    const error = await failureOf(() => decode(data, { drift: 'throw' }));
    expect([error.code, error.retryable, error.path, error.tokens[0]!.primaryKey]).toEqual([
      'E_DRIFT',
      false,
      '$[1]',
      2,
    ]);
    const drifts: Drift[] = [];
    await decode(data, { drift: (drift) => void drifts.push(drift) });
    expect(drifts).toMatchObject([{ entity: { id: 2 }, serialized: 1, current: 3 }]);
    await expect(
      decode(data, {
        drift: async () => {
          throw new RangeError('mine');
        },
      }),
    ).rejects.toThrow(RangeError);
  });

  test('a row older than its token is not visible yet, whatever the option says', async () => {
    const data = [{ $entity: ['User', 1, { version: 2 }] }];
    for (const drift of ['ignore', 'throw'] as const) {
      const error = await failureOf(() => decode(data, { drift }));
      expect([error.code, error.retryable, error.path]).toEqual(['E_NOT_YET_VISIBLE', true, '$[0]']);
    }
  });

  test('tokens of one row, each with a version of its own: those that differ from it are told, as the payload has them', async () => {
    await execute('update "user" set version = 3 where id = 2');
    const data = [3, 2, 1, 2].map((version) => ({ $entity: ['User', 2, { version }] }));
    const drifts: Drift[] = [];
    let report: ReviveReport | undefined;
    await decode(data, { drift: (drift) => void drifts.push(drift), onRevive: (r) => (report = r) });
    expect(drifts.map(({ token, serialized }) => [token.version, serialized])).toEqual([
      [2, 2],
      [1, 1],
      [2, 2],
    ]);
    expect(report!.drifted.map(({ version }) => version)).toEqual([2, 1]);
    const error = await failureOf(() => decode(data, { drift: 'throw' }));
    expect([error.path, error.tokens.map(({ version }) => version)]).toEqual(['$[1]', [2, 1]]);
  });

  test('what managed keeps is read where a token knows a newer version of it, and is a conflict for changes still', async () => {
    const bob = await em.findOneOrFail(User, 1);
    bob.name = 'mine';
    await execute(`update "user" set version = 2, email = 'new' where id = 1`);
    const managed = { em, freshness: 'managed' } as const;
    expect(await serializer.locate(new EntityToken('User', 1, { version: 1 }), managed)).toMatchObject({
      email: 'old',
    });
    expect(await serializer.locate(new EntityToken('User', 1, { version: 2 }), managed)).toBe(bob);
    expect(bob).toMatchObject({ name: 'mine', email: 'new' });
    const early = await failureOf(() => serializer.locate(new EntityToken('User', 1, { version: 3 }), managed));
    expect(early.code).toBe('E_NOT_YET_VISIBLE');
    await expect(em.flush()).rejects.toThrow(OptimisticLockError);
  });

  test('the version is the stored one, not what memory says', async () => {
    const bob = await em.findOneOrFail(User, 1);
    bob.version = 99;
    expect(serializer.token(bob, { versions: true }).version).toBe(1);
    const payload = serializer.encode(bob, { versions: true });
    expect(await serializer.decode(payload, { em })).toBe(bob);
  });

  testWith('connections')(
    'a token made inside a transaction is ahead of what others see until it commits',
    async () => {
      let payload: object | undefined;
      await fork().transactional(async (tx) => {
        const bob = await tx.findOneOrFail(User, 1);
        bob.email = 'new';
        await tx.flush();
        payload = serializer.encode(bob, { versions: true });
        expect((await failureOf(() => decode(payload!['data' as never]))).code).toBe('E_NOT_YET_VISIBLE');
      });
      expect(await decode<User>(payload!['data' as never])).toMatchObject({ email: 'new' });
    },
  );

  testWith('strictColumns')('a dated version compares instants, as exactly as its column', async () => {
    const { ByReference } = await import('mikro-orm-byref');
    class Note {
      declare id: number;
      declare changedAt: Date;
    }
    ByReference({ version: 'changedAt' })(Note);
    const { EntitySchema } = await import('@mikro-orm/core');
    const schema = new EntitySchema<Note>({
      class: Note,
      properties: {
        id: { type: 'number', primary: true },
        changedAt: { type: 'Date', columnType: onMysql ? 'datetime' : 'timestamptz(0)', length: 0 },
      },
    });
    const notes = await openDatabase([schema]);
    const own = new EntitySerializer(notes.orm);
    const writer = notes.orm.em.fork();
    // The column keeps whole seconds; memory still has the milliseconds.
    const note = writer.create(Note, { id: 1, changedAt: new Date('2026-11-21T00:00:00.700Z') });
    await writer.flush();
    const payload = own.encode(note, { versions: true });
    expect(payload['data']).toEqual({ $entity: ['Note', 1, { version: { $date: '2026-11-21T00:00:00.700Z' } }] });
    expect(await own.decode(payload, { em: notes.orm.em.fork(), drift: 'throw' })).toMatchObject({ id: 1 });
    await notes.orm.em.fork().nativeUpdate(Note, { id: 1 }, { changedAt: new Date('2026-11-21T00:00:02.700Z') });
    expect((await failureOf(() => own.decode(payload, { em: notes.orm.em.fork(), drift: 'throw' }))).code).toBe(
      'E_DRIFT',
    );
    await notes.close();
  });
});

describeWith('rowLocks')('lockMode', () => {
  const lock = (lockMode: LockMode, tx: EntityManager, data: unknown = [user(2), user(1)]): Promise<unknown> =>
    decode(data, { em: tx, lockMode });

  test('needs a transaction', async () => {
    const error = await failureOf(() => lock(LockMode.PESSIMISTIC_WRITE, fork()));
    expect(error.code).toBe('E_INVALID_OPTION');
    expect(database.statements).toEqual([]);
  });

  test('locks rows in the order of their keys, tables in the order of their names', async () => {
    await fork().transactional(async (tx) => {
      database.statements.length = 0;
      await lock(LockMode.PESSIMISTIC_WRITE, tx, [
        user(2),
        { $entity: ['Comment', { $bigint: '1' }] },
        user(1),
        post(3),
      ]);
      expect(
        selects(database.statements).map(
          (sql) => /from ["`](\w+).*order by .*["`]id["`] asc for update/.exec(sql)?.[1],
        ),
      ).toEqual(['comment', 'post', 'user']);
    });
  });

  testWith('connections')('SKIP LOCKED tells a locked row from a missing one', async () => {
    await fork().transactional(async (holder) => {
      await holder.findOneOrFail(User, 1, { lockMode: LockMode.PESSIMISTIC_WRITE });
      await fork().transactional(async (tx) => {
        database.statements.length = 0;
        const error = await failureOf(() => lock(LockMode.PESSIMISTIC_PARTIAL_WRITE, tx));
        expect([error.code, error.retryable, error.tokens.map((token) => token.primaryKey)]).toEqual([
          'E_LOCKED',
          true,
          [1],
        ]);
        expect(selects(database.statements)).toHaveLength(2);
        expect((await failureOf(() => lock(LockMode.PESSIMISTIC_PARTIAL_WRITE, tx, [user(2), user(9)]))).code).toBe(
          'E_ENTITY_NOT_FOUND',
        );
        expect(await lock(LockMode.PESSIMISTIC_PARTIAL_WRITE, tx, [user(2)])).toHaveLength(1);
      });
    });
  });

  testWith('connections')('SKIP LOCKED hides no related row that somebody else holds', async () => {
    const { config } = database.orm;
    const loadStrategy = config.get('loadStrategy');
    config.set('loadStrategy', 'select-in' as never);
    try {
      await fork().transactional(async (holder) => {
        await holder.findOneOrFail(User, 2, { lockMode: LockMode.PESSIMISTIC_WRITE });
        await holder.findOneOrFail(Post, 1, { lockMode: LockMode.PESSIMISTIC_WRITE });
        await fork().transactional(async (tx) => {
          const [owner, ofOther] = await decode<[User, Post]>([user(1), post(2)], {
            em: tx,
            lockMode: LockMode.PESSIMISTIC_PARTIAL_WRITE,
            populate: { User: ['posts'], Post: ['author'] },
          });
          expect(owner.posts.getItems().map(({ title }) => title)).toEqual(['t1']);
          expect(ofOther.author.getEntity().name).toBe('n2');
        });
      });
    } finally {
      config.set('loadStrategy', loadStrategy);
    }
  });

  testWith('connections')('the loser of NOWAIT is told to retry the transaction', async () => {
    await fork().transactional(async (holder) => {
      await holder.findOneOrFail(User, 1, { lockMode: LockMode.PESSIMISTIC_WRITE });
      const loser = fork();
      await loser.begin();
      const error = await failureOf(() => lock(LockMode.PESSIMISTIC_WRITE_OR_FAIL, loser));
      await loser.rollback();
      expect([error.code, error.retryable, (error.cause as { code?: string }).code]).toEqual([
        'E_LOCKED',
        true,
        { mariadb: 'ER_LOCK_WAIT_TIMEOUT', mysql: 'ER_LOCK_NOWAIT' }[driver as string] ?? '55P03',
      ]);
      expect(error.message).toContain('retry the transaction');
    });
  });

  testWith('connections')('an entity that is kept with its changes is locked all the same', async () => {
    await fork().transactional(async (tx) => {
      (await tx.findOneOrFail(User, 1)).name = 'changed';
      await lock(LockMode.PESSIMISTIC_WRITE, tx, user(1));
      await fork().transactional(async (other) => {
        expect((await failureOf(() => lock(LockMode.PESSIMISTIC_PARTIAL_WRITE, other, user(1)))).code).toBe('E_LOCKED');
      });
    });
  });

  testWith('connections')('two jobs that lock the same rows in opposite order do not deadlock', async () => {
    const job = (data: unknown): Promise<unknown> =>
      fork().transactional(async (tx) => {
        await lock(LockMode.PESSIMISTIC_WRITE, tx, data);
        await tx
          .getConnection()
          .execute(`select ${onMysql ? 'sleep' : 'pg_sleep'}(0.01)`, [], 'all', tx.getTransactionContext());
      });
    const jobs = Array.from({ length: 20 }, (_, index) =>
      job(index % 2 === 0 ? [user(1), post(1), user(2)] : [user(2), user(1), post(1)]),
    );
    expect(await Promise.all(jobs)).toHaveLength(20);
  });

  testWith('connections')(
    'a transaction that reads a snapshot gets that, and with lockMode never an old row',
    async () => {
      const em = fork();
      await em.begin({ isolationLevel: IsolationLevel.REPEATABLE_READ });
      const before = (await em.findOneOrFail(User, 1)).name;
      await fork().nativeUpdate(User, { id: 1 }, { name: 'new' });
      expect(await decode(user(1), { em })).toMatchObject({ name: before });
      const current = lock(LockMode.PESSIMISTIC_WRITE, em, user(1));
      // PostgreSQL has the transaction be tried again.
      if (onMysql) expect(await current).toMatchObject({ name: 'new' });
      else await expect(current).rejects.toMatchObject({ code: '40001' });
      await em.rollback();
    },
  );

  test.each([LockMode.NONE, LockMode.OPTIMISTIC])('%p is no row lock', async (lockMode) => {
    expect((await failureOf(() => lock(lockMode, fork()))).code).toBe('E_INVALID_OPTION');
  });
});

describe('authorize', () => {
  test('a refused entity looks exactly like a missing one', async () => {
    const reports: ReviveReport[] = [];
    const outcome = (id: number) =>
      failureOf(() =>
        decode([user(id)], {
          authorize: async (entity) => (entity as User).id !== 2,
          onRevive: (report) => void reports.push(report),
          drift: 'throw',
        }),
      );
    const [refused, missing] = [await outcome(2), await outcome(9)];
    expect(refused.message.replace('2', 'N')).toBe(missing.message.replace('9', 'N'));
    expect(refused).toMatchObject({ code: missing.code, path: missing.path, retryable: missing.retryable });
    expect(reports.map(({ missing: tokens }) => tokens.length)).toEqual([1, 1]);
    const drifted = [{ $entity: ['User', 2, { version: 7 }] }];
    expect((await failureOf(() => decode(drifted, { authorize: () => false }))).code).toBe('E_ENTITY_NOT_FOUND');
  });

  test('is asked once per row', async () => {
    const asked: unknown[] = [];
    await decode([user(1), user(1), post(1)], { authorize: (_, token) => asked.push(token.primaryKey) > 0 });
    expect(asked).toEqual([1, 1]);
    expect(await decode(user(1), { authorize: () => false, missing: 'null' })).toBeNull();
  });
});

describe('onRevive and the tracing channel', () => {
  test('what onRevive throws, or rejects with, the call fails with', async () => {
    const failing = [
      () => {
        throw new Error('by onRevive');
      },
      async () => {
        throw new Error('by onRevive');
      },
    ];
    for (const onRevive of failing) await expect(decode([user(1)], { onRevive })).rejects.toThrow('by onRevive');
  });

  test('hear of each call that met references, also of one that ends in an error', async () => {
    const heard: unknown[] = [];
    const listener = (trace: unknown): void => void heard.push((trace as ReviveTrace).report);
    subscribe('tracing:mikro-orm-byref:revive:asyncEnd', listener);
    const own: ReviveReport[] = [];
    await decode([user(1), user(9)], { missing: 'omit', onRevive: (report) => void own.push(report) });
    await failureOf(() => decode([user(9)], { onRevive: (report) => void own.push(report) }));
    await decode([1]);
    unsubscribe('tracing:mikro-orm-byref:revive:asyncEnd', listener);
    expect(heard).toEqual(own);
    expect(own).toMatchObject([
      { tokens: 2, rows: 2, queries: 1 },
      { tokens: 1, rows: 1, queries: 1 },
    ]);
    expect(own[0]!.missing[0]!.primaryKey).toBe(9);
  });
});

describeWith('connections', 'postgres')('parallel', () => {
  const data = [user(1), post(1)];
  /** Resolves when a query of the table has been answered. */
  const answered = async (table: string): Promise<void> => {
    while (!selects(database.statements).some((sql) => sql.includes(`from "${table}"`))) await sleep(2);
  };
  /** Starts reviving users and posts while nobody can read users, and says whether posts were read meanwhile, in time. */
  const readsPostsMeanwhile = async (options: DeserializeOptions, withinMs = 300): Promise<boolean> => {
    const holder = fork();
    await holder.begin();
    await holder
      .getConnection()
      .execute('lock table "user" in access exclusive mode', [], 'all', holder.getTransactionContext());
    database.statements.length = 0;
    const revived = decode<unknown[]>(data, options);
    const meanwhile = await Promise.race([answered('post').then(() => true), sleep(withinMs, false, { ref: false })]);
    await holder.commit();
    expect(await revived).toHaveLength(2);
    return meanwhile;
  };

  test('groups load at once outside a transaction', async () => {
    expect(await readsPostsMeanwhile({}, 60_000)).toBe(true);
    expect(await readsPostsMeanwhile({ parallel: 1 })).toBe(false);
  });

  test('one after the other inside a transaction', async () => {
    const em = fork();
    await em.begin();
    expect(await readsPostsMeanwhile({ em, parallel: 8 })).toBe(false);
    await em.rollback();
  });
});

describe('bad options', () => {
  test.each<[string, object]>([
    ['missing', { missing: 'ignore' }],
    ['freshness', { freshness: 'new' }],
    ['unflushed', { unflushed: true }],
    ['only', { only: 'User' }],
    ['populate', { populate: ['author'] }],
    ['lockMode', { lockMode: 'update' }],
    ['drift', { drift: 1 }],
    ['authorize', { authorize: true }],
    ['parallel', { parallel: 0 }],
    ['limits.depth', { limits: { depth: -1 } }],
    ['limits.width', { limits: { width: 1 } }],
    ['mising', { mising: 'null' }],
    ['populate', { populate: { Psot: ['author'] } }],
    ['filters', { filters: { Psot: { short: false } } }],
    ['em', { em: {} }],
  ])('%s is named with what is expected', async (name, options) => {
    const error = await failureOf(() => decode(user(1), options));
    expect(error.code).toBe('E_INVALID_OPTION');
    expect(error.message).toContain(`option ${name}`);
    expect(database.statements).toEqual([]);
  });

  test('an undefined limit switches nothing off', async () => {
    const deep = JSON.parse(`${'['.repeat(300)}${']'.repeat(300)}`) as unknown;
    const error = await failureOf(() => decode(deep, { limits: { depth: undefined } as never }));
    expect(error.code).toBe('E_LIMIT');
  });

  test('of the serializer and of serialize too', async () => {
    expect((await failureOf(() => new EntitySerializer(database.orm, null as never))).code).toBe('E_INVALID_OPTION');
    expect((await failureOf(() => new EntitySerializer(database.orm, { populate: { Psot: [] } }))).code).toBe(
      'E_INVALID_OPTION',
    );
    expect((await failureOf(() => new EntitySerializer(database.orm, { models: 'some' as never }))).code).toBe(
      'E_INVALID_OPTION',
    );
    expect((await failureOf(() => serializer.serialize(1, { version: true } as never))).code).toBe('E_INVALID_OPTION');
  });
});
