import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type EntityManager, RequestContext, TableNotFoundException } from '@mikro-orm/core';
import type { BentoCache } from 'bentocache';
import { byValue, EntitySerializer } from 'mikro-orm-byref';
import { EntityCache, type EntityCacheOptions } from 'mikro-orm-byref/cache';
import { Comment, domain, Post, Tag, User } from '../../fixtures/domain.ts';
import { schemaOf } from '../../fixtures/majors.ts';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { inMemory } from '../support/bento.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { soon } from '../support/soon.ts';
import { testWith } from '../support/test-with.ts';

const HOUR = 3_600_000;

let database: TestOrm;
let serializer: EntitySerializer;
let bento: BentoCache<never>;
let cache: EntityCache;
let made: number;

const newCache = (options: EntityCacheOptions = { singleProcess: true }): EntityCache =>
  new EntityCache(serializer, bento, options);
const fork = (): EntityManager => database.orm.em.fork();
const rename = async (name: string, id = 1): Promise<void> => {
  const em = fork();
  (await em.findOneOrFail(User, id)).name = name;
  await em.flush();
};
/** Counts how often it is made. */
const counting =
  <T>(make: (em: EntityManager) => T) =>
  (em: EntityManager): T => {
    made++;
    return make(em);
  };
const queries = async (run: () => Promise<unknown>): Promise<number> => {
  database.statements.length = 0;
  await run();
  return selects(database.statements).length;
};

beforeAll(async () => {
  database = await openDatabase(domain);
  serializer = new EntitySerializer(database.orm);
});
afterAll(() => database.close());
beforeEach(async () => {
  await schemaOf(database.orm).clear();
  const em = fork();
  for (const id of [1, 2, 3]) em.create(User, { id, name: `user ${id}`, email: `${id}@example.org` });
  em.create(Post, { id: 1, title: 'A post', body: '', author: 1 as never });
  await em.flush();
  bento = inMemory() as unknown as BentoCache<never>;
  cache = newCache();
  made = 0;
});

describe('a hit', () => {
  const home = (em: EntityManager) =>
    cache.getOrSet({
      key: 'home',
      ttlMs: HOUR,
      em,
      factory: counting(async (own) => {
        const users = await own.find(User, {}, { orderBy: { id: 'asc' } });
        return { users, first: users[0]!, post: await own.findOneOrFail(Post, 1), at: new Date(0) };
      }),
    });

  test('has the rows of now with one query per model, the same row the same object', async () => {
    await home(fork());
    const em = fork();
    let page!: Awaited<ReturnType<typeof home>>;
    expect(await queries(async () => (page = await home(em)))).toBe(2);
    expect(made).toBe(1);
    expect(page.first).toBe(page.users[0]);
    expect(page.first).toBe(em.getReference(User, 1));
    expect(page.post.title).toBe('A post');
    expect(page.at).toEqual(new Date(0));
  });

  test('is fresh where raw SQL has changed a row, without the factory', async () => {
    await home(fork());
    await fork().getConnection().execute(`update "user" set name = 'raw' where id = 1`);
    expect((await home(fork())).first.name).toBe('raw');
    expect(made).toBe(1);
  });

  test('looks the same as the miss before it', async () => {
    const shape = async () => {
      const { users, post, at } = await cache.getOrSet({
        key: 'shape',
        ttlMs: HOUR,
        em: fork(),
        factory: async (em) => {
          const [user] = await em.find(User, { id: 1 }, { populate: ['posts'] });
          return { users: user!.posts, post: em.getReference(Post, 1, { wrapped: true }), at: new Date(0) };
        },
      });
      return [Array.isArray(users), post instanceof Post, post.title, at];
    };
    expect(await shape()).toEqual(await shape());
    expect(await shape()).toEqual([true, true, 'A post', new Date(0)]);
  });

  test('costs no query for a value without entities, and no EntityManager', async () => {
    const plain = () =>
      cache.getOrSet({ key: 'plain', ttlMs: HOUR, factory: () => ({ n: [1, { a: '$5' }], d: new Set([1]) }) });
    expect(await queries(plain)).toBe(0);
    expect(await queries(plain)).toBe(0);
    expect(await plain()).toEqual({ n: [1, { a: '$5' }], d: new Set([1]) });
    expect(cache.stats).toMatchObject({ hits: 2, misses: 1, factoryCalls: 1 });
  });

  test.each([true, false])('shares nothing that its receiver could change (serialize: %s)', async (serialize) => {
    bento = inMemory(serialize) as unknown as BentoCache<never>;
    cache = newCache();
    const list = () => cache.getOrSet({ key: 'list', ttlMs: HOUR, factory: () => ({ list: [1] }) });
    const [a, b] = await Promise.all([list(), list()]);
    a.list.push(2);
    b.list.push(3);
    expect(await list()).toEqual({ list: [1] });
    (await list()).list.push(4);
    expect(await list()).toEqual({ list: [1] });
  });

  test('undefined and null are values', async () => {
    const nothing = (value: null | undefined) =>
      cache.getOrSet({ key: ['nothing', String(value)], ttlMs: HOUR, factory: counting(() => value) });
    expect([await nothing(null), await nothing(null), await nothing(undefined), await nothing(undefined)]).toEqual([
      null,
      null,
      undefined,
      undefined,
    ]);
    expect(made).toBe(2);
  });
});

describe('keys', () => {
  const get = (key: unknown) => cache.getOrSet({ key, ttlMs: HOUR, factory: () => ++made });

  test('equal values and the same row are one key', async () => {
    const user = await fork().findOneOrFail(User, 1);
    expect(await get(['home', user, { a: 1, b: 2 }])).toBe(1);
    expect(await get(['home', fork().getReference(User, 1), { b: 2, a: 1 }])).toBe(1);
    expect(await get(['home', fork().getReference(User, 2), { b: 2, a: 1 }])).toBe(2);
    expect(await get(user)).toBe(3);
    expect(await get(serializer.token(user))).toBe(3);
  });

  test('a string is none of the values whose encoding it is', async () => {
    expect(await get('["a"]')).toBe(1);
    expect(await get(['a'])).toBe(2);
    expect(await get(serializer.dedupeKey('a'))).toBe(3);
    expect(await get('a')).toBe(4);
  });

  test('long ones are told apart', async () => {
    const long = 'x'.repeat(1_000);
    expect(await get(`${long}a`)).toBe(1);
    expect(await get(`${long}b`)).toBe(2);
    expect(await get([long])).toBe(3);
    expect(await get(`${long}a`)).toBe(1);
  });

  test('delete() forgets one, and what is being made under it is not stored', async () => {
    expect([await get('a'), await get('a')]).toEqual([1, 1]);
    await cache.delete('a');
    expect(await get('a')).toBe(2);
    const { promise, resolve } = Promise.withResolvers<void>();
    const slow = cache.getOrSet({ key: 'slow', ttlMs: HOUR, factory: () => promise.then(() => 'old') });
    await sleep(1);
    await cache.delete('slow');
    resolve();
    expect(await slow).toBe('old');
    expect(await cache.getOrSet({ key: 'slow', ttlMs: HOUR, factory: () => 'new' })).toBe('new');
  });
});

describe('a commit', () => {
  const names = (em = fork()) =>
    cache.getOrSet({
      key: 'names',
      ttlMs: HOUR,
      graceMs: HOUR,
      dependsOn: [Comment],
      em,
      factory: counting(async (own) => {
        const user = await own.findOneOrFail(User, 1);
        return { user, name: user.name, comments: await own.count(Comment) };
      }),
    });
  const comment = (em: EntityManager, id = 1n): void =>
    void em.create(Comment, { id, text: 'Hi', post: 1 as never, author: 2 as never });

  test('of a row in the value, or of a model it depends on, makes the next visitor see it', async () => {
    expect(await names()).toMatchObject({ name: 'user 1', comments: 0 });
    await rename('Ann');
    expect(await names()).toMatchObject({ name: 'Ann', comments: 0 });
    const em = fork();
    comment(em);
    await em.flush();
    expect(await names()).toMatchObject({ name: 'Ann', comments: 1 });
    await em.remove(await em.findOneOrFail(Comment, 1n)).flush();
    expect(await names()).toMatchObject({ name: 'Ann', comments: 0 });
    expect([made, cache.stats.stale, cache.stats.invalidated]).toEqual([4, 0, 3]);
  });

  test('of anything else leaves it', async () => {
    await names();
    await rename('Bob', 2);
    await names();
    expect(made).toBe(1);
  });

  testWith('connections')('counts when the outermost transaction commits, and not before', async () => {
    await names();
    const em = fork();
    await em.begin();
    comment(em);
    await em.flush();
    await names();
    expect(made).toBe(1);
    await em.commit();
    expect(await names()).toMatchObject({ comments: 1 });
  });

  test('counts never after a rollback, nor one of a savepoint', async () => {
    await names();
    const failing = async (em: EntityManager): Promise<void> => {
      comment(em);
      await em.flush();
      throw new Error('rolled back on purpose');
    };
    await fork()
      .transactional(failing)
      .catch(() => undefined);
    await fork().transactional(async (em) => {
      await em.transactional(failing).catch(() => undefined);
    });
    await names();
    expect(made).toBe(1);
    await fork().transactional((em) => em.transactional(async (inner) => comment(inner)));
    expect(await names()).toMatchObject({ comments: 1 });
  });

  test('counts for upserts, for deletions, and for many-to-many collections', async () => {
    const tags = (em = fork()) =>
      cache.getOrSet({
        key: 'tags',
        ttlMs: HOUR,
        em,
        factory: counting(async (own) => {
          const post = await own.findOneOrFail(Post, 1, { populate: ['tags'] });
          return { post, labels: post.tags.getItems().map(({ label }) => label) };
        }),
      });
    expect((await tags()).labels).toEqual([]);
    const em = fork();
    const post = await em.findOneOrFail(Post, 1, { populate: ['tags'] });
    post.tags.add(em.create(Tag, { id: '00000000-0000-4000-8000-000000000001', label: 'news' }));
    await em.flush();
    expect((await tags()).labels).toEqual(['news']);
    await fork().transactional(async (inner) => {
      const again = await inner.findOneOrFail(Post, 1, { populate: ['tags'] });
      again.tags.removeAll();
    });
    expect((await tags()).labels).toEqual([]);
    await names();
    await fork().upsert(User, { id: 1, name: 'upserted', email: 'u@example.org', updatedAt: new Date() });
    expect(await names()).toMatchObject({ name: 'upserted' });
  });

  test('of a row whose copy is in the value counts too', async () => {
    const copy = () =>
      cache.getOrSet({
        key: 'copy',
        ttlMs: HOUR,
        em: fork(),
        factory: async (em) => byValue(await em.findOneOrFail(User, 1)),
      });
    await copy();
    await rename('Ann');
    expect(((await copy()) as unknown as User).name).toBe('Ann');
  });

  test('while the factory runs makes what it returns stale', async () => {
    const { promise: paused, resolve: go } = Promise.withResolvers<void>();
    const { promise: hasRead, resolve: read } = Promise.withResolvers<void>();
    const page = (em = fork()) =>
      cache.getOrSet({
        key: 'paused',
        ttlMs: HOUR,
        graceMs: HOUR,
        em,
        factory: counting(async (own) => {
          const user = await own.findOneOrFail(User, 1);
          const value = { user, name: user.name };
          read();
          await paused;
          return value;
        }),
      });
    const first = page();
    await hasRead;
    await rename('Ann');
    // Who comes after the commit does not get what was read before it.
    const second = page();
    go();
    expect((await first).name).toBe('user 1');
    expect((await second).name).toBe('Ann');
    expect((await page()).name).toBe('Ann');
    expect(made).toBe(2);
  });
});

describe('in a transaction', () => {
  const names = (em: EntityManager) =>
    cache.getOrSet({
      key: 'names',
      ttlMs: HOUR,
      em,
      dependsOn: [User],
      factory: counting(async (own) => (await own.find(User, {}, { orderBy: { id: 'asc' } })).map(({ name }) => name)),
    });

  testWith('connections')('what is made is stored after the commit, and never after a rollback', async () => {
    await fork()
      .transactional(async (em) => {
        (await em.findOneOrFail(User, 1)).name = 'never';
        await em.flush();
        expect((await names(em))[0]).toBe('never');
        expect((await names(fork()))[0]).toBe('user 1');
        throw new Error('rolled back on purpose');
      })
      .catch(() => undefined);
    expect((await names(fork()))[0]).toBe('user 1');
    expect(made).toBe(2);
    await cache.delete('names');
    await fork().transactional((em) => names(em));
    await names(fork());
    expect(made).toBe(3);
  });

  testWith('connections')('what it wrote, or what another committed meanwhile, makes that stale', async () => {
    const em = fork();
    await em.begin({ isolationLevel: 'repeatable read' as never });
    await em.findOneOrFail(User, 1);
    await rename('Ann');
    expect((await names(em))[0]).toBe('user 1');
    await em.commit();
    expect((await names(fork()))[0]).toBe('Ann');
  });
});

describe('time', () => {
  const value = (factory: () => unknown, graceMs = HOUR, ttlMs = 30) =>
    cache.getOrSet({ key: 'time', ttlMs, graceMs, factory: counting(factory) });

  test('past ttlMs the old value comes at once, while one refresh runs behind it', async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    expect(await value(() => 'old')).toBe('old');
    await sleep(35);
    // What the refresh makes is fresh for long enough.
    const many = await Promise.all(Array.from({ length: 50 }, () => value(() => promise, HOUR, HOUR)));
    expect(new Set(many)).toEqual(new Set(['old']));
    await soon(() => made === 2);
    resolve('new');
    await soon(() => cache.stats.refreshes === 1);
    expect(await value(() => 'newer')).toBe('new');
    expect(cache.stats).toMatchObject({ hits: 1, stale: 50, misses: 1, factoryCalls: 2 });
  });

  test('past the grace period, and without one, it is a miss', async () => {
    await value(() => 'old', 0);
    await sleep(35);
    expect(await value(() => 'new', 0)).toBe('new');
    expect(cache.stats).toMatchObject({ misses: 2, stale: 0 });
  });

  test('a refresh that fails keeps the old value, and is told', async () => {
    const errors: unknown[] = [];
    cache = newCache({ singleProcess: true, onError: (error) => errors.push(error) });
    await value(() => 'old');
    await sleep(35);
    expect(await value(() => Promise.reject(new Error('the database is down')))).toBe('old');
    await soon(() => cache.stats.failedRefreshes === 1);
    expect(errors).toEqual([new Error('the database is down')]);
    expect(await value(() => 'new')).toBe('old');
    await soon(() => cache.stats.refreshes === 1);
    expect(await value(() => 'newer')).toBe('new');
  });

  test('a factory has an EntityManager and a request context of its own, a refresh outside of transactions', async () => {
    const seen: unknown[] = [];
    const get = (em: EntityManager) =>
      cache.getOrSet({
        key: 'request',
        ttlMs: 20,
        graceMs: HOUR,
        em,
        factory: async (own) => {
          seen.push(own === em, own.isInTransaction(), RequestContext.getEntityManager() === own);
          return own.findOneOrFail(User, 1);
        },
      });
    const em = fork();
    await get(em);
    await sleep(25);
    await em.transactional((inner) => get(inner));
    await soon(() => cache.stats.refreshes === 1);
    expect(seen).toEqual([false, false, true, false, false, true]);
  });

  test('a value that was invalidated is not served in its grace period, whatever its factory says', async () => {
    const user = (fail = false) =>
      cache.getOrSet({
        key: 'user',
        ttlMs: 20,
        graceMs: HOUR,
        em: fork(),
        factory: async (em) => {
          if (fail) throw new Error('the database is down');
          const found = await em.findOneOrFail(User, 1);
          return { found, name: found.name };
        },
      });
    await user();
    await rename('Ann');
    await sleep(25);
    await expect(user(true)).rejects.toThrow('the database is down');
    expect((await user()).name).toBe('Ann');
    expect(cache.stats.stale).toBe(0);
  });
});

describe('many at once', () => {
  test('make a value once, on a miss and after an invalidation', async () => {
    const get = () =>
      cache.getOrSet({
        key: 'many',
        ttlMs: HOUR,
        graceMs: HOUR,
        em: fork(),
        factory: counting(async (em) => {
          await sleep(5);
          return em.find(User, {});
        }),
      });
    const all = () => Promise.all(Array.from({ length: 50 }, get));
    expect(new Set((await all()).map((users) => users.length))).toEqual(new Set([3]));
    expect(made).toBe(1);
    await rename('Ann');
    expect(new Set((await all()).map((users) => users.find(({ id }) => id === 1)!.name))).toEqual(new Set(['Ann']));
    expect(made).toBe(2);
  });

  test('share the failure of a factory, and the next one tries again', async () => {
    const get = (factory: () => unknown) => cache.getOrSet({ key: 'fails', ttlMs: HOUR, factory: counting(factory) });
    const failing = () => Promise.reject(new Error('down'));
    const results = await Promise.allSettled([get(failing), get(failing), get(failing)]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(made).toBe(1);
    expect(await get(() => 'up')).toBe('up');
  });
});

describe('what can no longer be read is a miss', () => {
  const third = (em = fork()) =>
    cache.getOrSet({ key: 'third', ttlMs: HOUR, em, factory: counting((own) => own.findOne(User, 3)) });

  test('a row that is gone', async () => {
    expect((await third())!.name).toBe('user 3');
    await fork().nativeDelete(User, { id: 3 });
    expect(await third()).toBe(null);
    expect(cache.stats).toMatchObject({ hits: 0, misses: 2, unreadable: 1 });
  });

  test('whatever the serializer says of missing rows and of drift', async () => {
    cache = new EntityCache(
      new EntitySerializer(database.orm, { missing: 'null', drift: 'throw', versions: true }),
      bento,
      {
        singleProcess: true,
      },
    );
    await third();
    await fork().getConnection().execute(`update "user" set version = 7 where id = 3`);
    expect((await third())!.version).toBe(7);
    await fork().nativeDelete(User, { id: 3 });
    expect(await cache.getOrSet({ key: 'third', ttlMs: HOUR, em: fork(), factory: () => 'again' })).toBe('again');
  });

  test('a row older than its token', async () => {
    const dated = new EntitySerializer(database.orm, { versions: true });
    cache = new EntityCache(dated, bento, { singleProcess: true });
    await rename('newer', 3);
    await third();
    await fork().getConnection().execute(`update "user" set version = 1 where id = 3`);
    expect((await third())!.version).toBe(1);
    expect([made, cache.stats.unreadable]).toEqual([2, 1]);
  });

  test('a row that has another version than when the value was made, at no query more', async () => {
    const page = (em = fork()) =>
      cache.getOrSet({
        key: 'page',
        ttlMs: HOUR,
        em,
        factory: counting(async (own) => {
          const user = await own.findOneOrFail(User, 1);
          return { user, title: user.name.toUpperCase() };
        }),
      });
    await page();
    expect(await queries(() => page())).toBe(1);
    // By a process that died, or whose message was lost: nobody has heard of it.
    await fork().getConnection().execute(`update "user" set name = 'Ann', version = version + 1 where id = 1`);
    expect(await page()).toMatchObject({ title: 'ANN', user: { name: 'Ann', version: 2 } });
    expect([made, cache.stats.unreadable, cache.stats.hits]).toEqual([2, 1, 1]);
  });

  test('a row that changes while the value is made is served as it is now, and the next one is made again', async () => {
    const page = () =>
      cache.getOrSet({
        key: 'page',
        ttlMs: HOUR,
        em: fork(),
        factory: counting(async (own) => {
          const user = await own.findOneOrFail(User, 1);
          if (made === 1) {
            await fork().getConnection().execute(`update "user" set name = 'Ann', version = version + 1 where id = 1`);
          }
          return { user, title: user.name };
        }),
      });
    expect(await page()).toMatchObject({ title: 'user 1', user: { name: 'Ann' } });
    expect(await page()).toMatchObject({ title: 'Ann', user: { name: 'Ann' } });
    expect(made).toBe(2);
  });

  test.each([
    ['a newer format', { $byref: 99, data: 1 }],
    ['an unknown model', { $byref: 1, data: { $entity: ['Gone', 1] } }],
    ['an unknown value object', { $byref: 1, data: { $value: ['Gone', 1] } }],
    ['what is no payload', { a: 1 }],
  ])('%s', async (_name, payload) => {
    const record = { payload, expiresAt: Date.now() + HOUR, stamps: {} };
    for (const value of [record, 'text', { payload: 1 }, null]) {
      await bento.set({ key: 'byref:text:third', value, ttl: HOUR });
      expect((await third())!.name).toBe('user 3');
    }
    expect(made).toBe(4);
  });

  test('but a failure of the database passes through, and so does what its factory makes in vain', async () => {
    await third();
    const statement = `alter table "user" rename to "elsewhere"`;
    await fork().getConnection().execute(statement);
    try {
      await expect(third()).rejects.toThrow(TableNotFoundException);
    } finally {
      await fork().getConnection().execute(`alter table "elsewhere" rename to "user"`);
    }
    const ghost = () =>
      cache.getOrSet({ key: 'ghost', ttlMs: HOUR, em: fork(), factory: (em) => em.getReference(User, 99) });
    expect((await failureOf(ghost)).code).toBe('E_ENTITY_NOT_FOUND');
  });
});

describe('touch()', () => {
  const names = (key: string, id: number, dependsOn: (typeof User)[] = []) =>
    cache.getOrSet({
      key,
      ttlMs: HOUR,
      em: fork(),
      dependsOn,
      factory: counting(async (em) => {
        const user = await em.findOneOrFail(User, id);
        return { user, name: user.name };
      }),
    });

  test('makes stale what hangs on matching rows or on the model, with one query for keys', async () => {
    const all = async () => [
      (await names('one', 1)).name,
      (await names('two', 2)).name,
      (await names('any', 3, [User])).name,
    ];
    await all();
    await fork().getConnection().execute(`update "user" set name = 'native'`);
    expect(await all()).toEqual(['user 1', 'user 2', 'user 3']);
    const em = fork();
    expect(await queries(() => cache.touch(User, { id: 2 }, { em }))).toBe(1);
    expect(database.statements[0]).toMatch(/^select ["`]\w+["`].["`]id["`] from ["`]user["`]/);
    expect(em.getUnitOfWork().getIdentityMap().keys()).toEqual([]);
    expect(await all()).toEqual(['user 1', 'native', 'native']);
    await cache.touch(User);
    expect(await all()).toEqual(['native', 'native', 'native']);
  });

  testWith('connections')('in a transaction, after its commit', async () => {
    await names('one', 1);
    await fork().transactional(async (em) => {
      await em.nativeUpdate(User, { id: 1 }, { name: 'native' });
      await cache.touch(User, { name: 'native' }, { em });
      expect((await names('one', 1)).name).toBe('user 1');
    });
    expect((await names('one', 1)).name).toBe('native');
  });
});

test('cacheKey() is text that changes with the version', async () => {
  const before = cache.cacheKey(await fork().findOneOrFail(User, 1));
  expect(before).toMatch(/^[\w-]+$/);
  expect(cache.cacheKey(await fork().findOneOrFail(User, 1))).toBe(before);
  await rename('Ann');
  expect(cache.cacheKey(await fork().findOneOrFail(User, 1))).not.toBe(before);
  const em = fork();
  const untagged = em.create(Tag, { id: '00000000-0000-4000-8000-000000000001', label: 'a' });
  await em.flush();
  for (const entity of [untagged, fork().getReference(User, 1)]) {
    expect((await failureOf(() => cache.cacheKey(entity))).code).toBe('E_INVALID_OPTION');
  }
});

test.each([
  [{ key: 'a', factory: () => 1 }, 'option ttlMs'],
  [{ key: 'a', ttlMs: 0, factory: () => 1 }, 'option ttlMs'],
  [{ key: 'a', ttlMs: Infinity, factory: () => 1 }, 'option ttlMs: expected milliseconds, above 0, or null'],
  [{ key: 'a', ttlMs: 1, graceMs: -1, factory: () => 1 }, 'option graceMs'],
  [{ key: 'a', ttlMs: 1 }, 'option factory'],
  [{ ttlMs: 1, factory: () => 1 }, 'option key'],
  [{ key: 'a', ttlMs: 1, ttl: 1, factory: () => 1 }, 'option ttl'],
  [{ key: 'a', ttlMs: 1, dependsOn: [Date], factory: () => 1 }, 'option dependsOn: expected classes of this ORM'],
])('options are refused: %j', async (options, reason) => {
  const failure = await failureOf(() => cache.getOrSet(options as never));
  expect([failure.code, failure.message]).toEqual(['E_INVALID_OPTION', expect.stringContaining(reason)]);
});
