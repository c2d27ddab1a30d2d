import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type EntityManager, RequestContext } from '@mikro-orm/core';
import type { MikroORM } from '@mikro-orm/postgresql';
import { EntitySerializer } from 'mikro-orm-byref';
import { Cached, type CacheOperation, EntityCache } from 'mikro-orm-byref/cache';
import { domain, Post, User } from '../../fixtures/domain.ts';
import { isMikroOrm6, makeOrm, schemaOf } from '../../fixtures/majors.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { inMemory } from '../support/bento.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';

const HOUR = 3_600_000;

let database: TestOrm;
let orm: MikroORM;
let cache: EntityCache;
let made: number;

/** Users of a tenant have its number in their e-mail address. */
const TENANT = { name: 'tenant', cond: (args: { tenant: string }) => ({ email: args.tenant }), default: true };

beforeAll(async () => {
  database = await openDatabase(domain);
});
afterAll(() => database.close());
beforeEach(async () => {
  await schemaOf(database.orm).clear();
  orm = makeOrm({
    entities: domain,
    clientUrl: database.url,
    filters: { tenant: { ...TENANT, entity: ['User'] } as never },
  });
  const em = database.orm.em.fork();
  em.create(User, { id: 1, name: 'Ann', email: 'one' });
  em.create(User, { id: 2, name: 'Bob', email: 'two' });
  em.create(User, { id: 3, name: 'Cleo', email: 'two' });
  await em.flush();
  cache = new EntityCache(new EntitySerializer(orm), inMemory(), { singleProcess: true });
  made = 0;
});
afterEach(() => orm.close());

const tenant = (name: string): EntityManager => {
  const em = orm.em.fork();
  em.setFilterParams('tenant', { tenant: name });
  return em;
};
const names = (em: EntityManager, options: object = {}) =>
  cache.getOrSet({
    key: 'names',
    ttlMs: HOUR,
    em,
    ...options,
    factory: async (own) => {
      made++;
      return (await own.find(User, {}, { orderBy: { id: 'asc' } })).map(({ name }) => name);
    },
  });

describe('scope', () => {
  test('what is made for one tenant is not served to another, and is to the same', async () => {
    for (let round = 0; round < 2; round++) {
      expect(await names(tenant('one'))).toEqual(['Ann']);
      expect(await names(tenant('two'))).toEqual(['Bob', 'Cleo']);
    }
    expect(made).toBe(2);
  });

  test('it is that of the request and of @Cached, too', async () => {
    class Pages {
      readonly cache = cache;
      readonly em = orm.em;
      @Cached({ ttlMs: HOUR })
      async count(): Promise<number> {
        return this.em.count(User);
      }
      @Cached({ ttlMs: HOUR, scope: () => null, key: () => 'shared' })
      async shared(): Promise<number> {
        return this.em.count(User);
      }
    }
    const inRequest = (name: string, method: 'count' | 'shared') =>
      RequestContext.create(tenant(name), () => new Pages()[method]());
    expect([await inRequest('one', 'count'), await inRequest('two', 'count')]).toEqual([1, 2]);
    expect([await inRequest('one', 'shared'), await inRequest('two', 'shared')]).toEqual([1, 1]);
  });

  test('of one’s own choice it tells values apart, and null none', async () => {
    expect(await names(tenant('one'), { scope: ['de'] })).toEqual(['Ann']);
    expect(await names(tenant('two'), { scope: ['de'] })).toEqual(['Ann']);
    expect(await names(tenant('two'), { scope: ['fr'] })).toEqual(['Bob', 'Cleo']);
    expect(await names(tenant('two'), { scope: null })).toEqual(['Bob', 'Cleo']);
    expect(await names(tenant('one'), { scope: null })).toEqual(['Bob', 'Cleo']);
  });

  test('get, has and delete go by it', async () => {
    await names(tenant('one'));
    await names(tenant('two'));
    await names(tenant('one'), { scope: null });
    const [one, two, all] = [{ em: tenant('one') }, { em: tenant('two') }, { scope: null }];
    expect(await cache.get('names', one)).toEqual(['Ann']);
    expect(await cache.get('names', two)).toEqual(['Bob', 'Cleo']);
    await cache.delete('names', one);
    expect([await cache.has('names', one), await cache.has('names', two), await cache.has('names', all)]).toEqual([
      false,
      true,
      true,
    ]);
    expect([await cache.get('names', one), await cache.get('names', all)]).toEqual([undefined, ['Ann']]);
    expect((await failureOf(() => cache.get('names', { scop: 1 } as never))).message).toMatch(/scop/);
    expect((await failureOf(() => cache.has(undefined))).message).toMatch(/^Invalid key: expected/);
  });

  test('the schema of an EntityManager is part of it', async () => {
    await names(tenant('one'));
    const em = orm.em.fork({ schema: 'elsewhere' });
    em.setFilterParams('tenant', { tenant: 'one' });
    expect(await cache.has('names', { em })).toBe(false);
  });

  test('the session context is part of it, which MikroORM 6 has none of', async () => {
    const fork = (name: string): EntityManager => {
      const em = orm.em.fork({ session: { variables: { 'app.tenant': name } } } as never);
      em.setFilterParams('tenant', { tenant: 'one' });
      return em;
    };
    expect(await names(fork('a'))).toEqual(['Ann']);
    expect([await cache.has('names', { em: fork('a') }), await cache.has('names', { em: fork('b') })]).toEqual([
      true,
      isMikroOrm6,
    ]);
  });
});

describe('get() and has()', () => {
  const user = (em: EntityManager, ttlMs: number | null = HOUR) =>
    cache.getOrSet({ key: 'user', ttlMs, em, factory: (own) => own.findOneOrFail(User, 1) });

  test('have the rows of now, and see what is stale', async () => {
    const em = tenant('one');
    expect([await cache.get('user', { em }), await cache.has('user', { em })]).toEqual([undefined, false]);
    await user(em);
    const other = tenant('one');
    const found = await cache.get<User>('user', { em: other });
    expect(found).toBe(await other.findOneOrFail(User, 1));
    found!.name = 'Anne';
    await other.flush();
    expect([await cache.get('user', { em }), await cache.has('user', { em })]).toEqual([undefined, false]);
    expect(cache.stats).toMatchObject({ hits: 1, misses: 3 });
  });

  test('an entry without an end is there until something makes it stale', async () => {
    const em = tenant('one');
    await user(em, null);
    expect(await cache.has('user', { em })).toBe(true);
    const { now } = Date;
    try {
      Date.now = () => now() + 20 * 365 * 24 * HOUR;
      const plain = () => cache.getOrSet({ key: 'plain', ttlMs: null, em, factory: () => ++made });
      expect([await plain(), await plain()]).toEqual([1, 1]);
      Date.now = () => now() + 40 * 365 * 24 * HOUR;
      expect(await plain()).toBe(1);
    } finally {
      Date.now = now;
    }
    (await em.findOneOrFail(User, 1)).name = 'Anne';
    await em.flush();
    expect(await cache.has('user', { em })).toBe(false);
  });
});

test('the tracing channel tells of each getOrSet: a digest of its key, a hit or not, rows by model', async () => {
  const told: CacheOperation[] = [];
  const failed: unknown[] = [];
  const listen = (message: unknown): void => void told.push({ ...(message as CacheOperation) });
  const channel = tracingChannel('mikro-orm-byref:cache');
  const page = (key: string) =>
    cache.getOrSet({
      key,
      ttlMs: HOUR,
      em: tenant('two'),
      factory: async (em) => {
        if (key === 'fails') throw new Error('on purpose');
        return { users: await em.find(User, {}), count: await em.count(Post) };
      },
    });
  subscribe('tracing:mikro-orm-byref:cache:asyncEnd', listen);
  channel.error.subscribe((message) => failed.push((message as CacheOperation).error));
  await page('secret');
  await page('secret');
  await page('fails').catch(() => undefined);
  unsubscribe('tracing:mikro-orm-byref:cache:asyncEnd', listen);
  const key = expect.stringMatching(/^[\w-]{22}$/);
  expect(told).toEqual([
    { operation: 'getOrSet', key, hit: false, models: { User: 2 }, result: expect.anything() },
    { operation: 'getOrSet', key, hit: true, models: { User: 2 }, result: expect.anything() },
    { operation: 'getOrSet', key, error: new Error('on purpose') },
  ]);
  expect(told[0]!.key).toBe(told[1]!.key);
  expect(told[2]!.key).not.toBe(told[1]!.key);
  expect(failed).toEqual([new Error('on purpose')]);
});
