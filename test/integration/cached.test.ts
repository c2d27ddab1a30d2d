import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type EntityManager, RequestContext } from '@mikro-orm/core';
import { EntitySerializer } from 'mikro-orm-byref';
import { Cached, EntityCache } from 'mikro-orm-byref/cache';
import { Comment, domain, User } from '../../fixtures/domain.ts';
import { schemaOf } from '../../fixtures/majors.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { inMemory } from '../support/bento.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { importTc39 } from '../support/tc39.ts';

const HOUR = 3_600_000;

let database: TestOrm;
let cache: EntityCache;

class Reports {
  calls = 0;
  readonly cache: EntityCache;
  readonly em: EntityManager;
  readonly #suffix: string;

  constructor(em: EntityManager, own = cache, suffix = '!') {
    this.em = em;
    this.cache = own;
    this.#suffix = suffix;
  }

  get pages(): EntityCache {
    return cache;
  }

  @Cached({ ttlMs: HOUR, dependsOn: [Comment] })
  async profile(user: User, options: { loud?: boolean } = {}): Promise<{ user: User; text: string }> {
    this.calls++;
    const found = await this.em.findOneOrFail(User, user.id);
    return { user: found, text: options.loud === true ? found.name.toUpperCase() : found.name + this.#suffix };
  }

  @Cached({
    ttlMs: HOUR,
    key: (a: number) => ['sum', a % 2],
    cache: (self: Reports) => self.pages,
    dependsOn: () => [User],
  })
  async parity(a: number): Promise<string> {
    this.calls++;
    return a % 2 === 0 ? 'even' : 'odd';
  }

  @Cached({ ttlMs: HOUR })
  async size(): Promise<number> {
    return ++this.calls;
  }
}

class MoreReports extends Reports {}

beforeAll(async () => {
  database = await openDatabase(domain);
});
afterAll(() => database.close());
beforeEach(async () => {
  await schemaOf(database.orm).clear();
  const em = database.orm.em.fork();
  em.create(User, { id: 1, name: 'Ann', email: 'a' });
  em.create(User, { id: 2, name: 'Bob', email: 'b' });
  await em.flush();
  cache = new EntityCache(new EntitySerializer(database.orm), inMemory(), { singleProcess: true });
});

/** As a request has it: the ORM's EntityManager stands for one of its own. */
const inRequest = <T>(run: (em: EntityManager) => Promise<T>): Promise<T> =>
  RequestContext.create(database.orm.em, () => run(RequestContext.getEntityManager()!));

test('the default key is the class, the method and the arguments', () =>
  inRequest(async () => {
    const reports = new Reports(database.orm.em);
    const [ann, bob] = await database.orm.em.fork().find(User, {}, { orderBy: { id: 'asc' } });
    expect((await reports.profile(ann!)).text).toBe('Ann!');
    expect((await reports.profile(ann!)).text).toBe('Ann!');
    expect(reports.calls).toBe(1);
    expect((await reports.profile(ann!, { loud: true })).text).toBe('ANN');
    expect((await reports.profile(bob!)).text).toBe('Bob!');
    expect([await reports.size(), await reports.size()]).toEqual([4, 4]);
    expect(await new MoreReports(database.orm.em).size()).toBe(1);
  }));

test('entities come to this.em, and a commit makes the result stale', () =>
  inRequest(async (em) => {
    const reports = new Reports(database.orm.em);
    const ann = em.getReference(User, 1);
    expect((await reports.profile(ann)).user).toBe(ann);
    ann.name = 'Anne';
    await em.flush();
    expect((await reports.profile(ann)).text).toBe('Anne!');
    expect(reports.calls).toBe(2);
  }));

test('what one EntityManager has in memory, old or changed, is not for all', async () => {
  const old = database.orm.em.fork();
  const [ann] = await old.find(User, { id: 1 });
  const other = database.orm.em.fork();
  (await other.findOneOrFail(User, 1)).name = 'Anne';
  await other.flush();
  expect((await failureOf(() => new Reports(old).profile(ann!))).message).toMatch(
    /this\.em of the cached method profile/,
  );
  const text = (em: EntityManager): Promise<{ name: string }> =>
    cache.getOrSet({
      key: 'text',
      ttlMs: HOUR,
      em,
      factory: async (own) => ({ name: (await own.findOneOrFail(User, 1)).name }),
    });
  ann!.name = 'never flushed';
  expect(await text(old)).toEqual({ name: 'Anne' });
  expect(await text(database.orm.em.fork())).toEqual({ name: 'Anne' });
});

test('a method that calls the cached one of its base, and one that calls itself', () =>
  inRequest(async () => {
    class Derived extends Reports {
      @Cached({ ttlMs: HOUR })
      override async size(): Promise<number> {
        return 10 + (await super.size());
      }
    }
    expect(await new Derived(database.orm.em).size()).toBe(11);
    const get = (depth: number): Promise<number> =>
      cache.getOrSet({ key: 'self', ttlMs: HOUR, factory: () => (depth === 0 ? 1 : get(depth - 1)) });
    expect(await get(2)).toBe(1);
  }));

test('static methods are those of their class; one that a symbol names wants a key', async () => {
  const made = (of: string): { list(): Promise<string> } => {
    class Lists {
      static readonly cache = cache;
      @Cached({ ttlMs: HOUR })
      static async list(): Promise<string> {
        return of;
      }
    }
    Object.defineProperty(Lists, 'name', { value: of });
    return Lists;
  };
  expect([await made('A').list(), await made('B').list()]).toEqual(['A', 'B']);
  const decorate = Cached({ ttlMs: 1 }) as unknown as (method: () => void, context: object) => void;
  expect((await failureOf(() => decorate(() => undefined, { name: Symbol('list') }))).message).toMatch(/option key/);
});

test('the global EntityManager is that of the request', async () => {
  const reports = new Reports(database.orm.em);
  await RequestContext.create(database.orm.em, async () => {
    const ann = RequestContext.getEntityManager()!.getReference(User, 1);
    expect((await reports.profile(ann)).user).toBe(ann);
  });
});

test('a key, a cache and classes of its own choice', async () => {
  const reports = new Reports(database.orm.em, undefined as never);
  expect([await reports.parity(1), await reports.parity(3), await reports.parity(2)]).toEqual(['odd', 'odd', 'even']);
  expect(reports.calls).toBe(2);
  const em = database.orm.em.fork();
  em.create(User, { id: 3, name: 'Cleo', email: 'c' });
  await em.flush();
  await reports.parity(5);
  expect(reports.calls).toBe(3);
});

test('without a cache, or on no method, it says what to do', async () => {
  const reports = new Reports(database.orm.em.fork(), null as never);
  expect((await failureOf(() => reports.size())).message).toMatch(/cache of the method size.*set this\.cache/);
  expect((await failureOf(() => Cached({ ttlMs: -1 }))).message).toMatch(/@Cached option ttlMs/);
  expect((await failureOf(() => Cached({ ttlMs: 1, scope: 'all' as never }))).message).toMatch(/@Cached option scope/);
  const decorate = Cached({ ttlMs: 1 }) as unknown as (target: object, name: string) => void;
  expect((await failureOf(() => decorate(reports, 'calls'))).message).toMatch(/expected a method/);
});

test('a TC39 decorator does the same', async () => {
  const tc39 = await importTc39<{
    Reports: new (own: EntityCache) => { calls: number; double(n: number): Promise<number> };
  }>('cached');
  const reports = new tc39.Reports(cache);
  expect([await reports.double(2), await reports.double(2), await reports.double(3)]).toEqual([4, 4, 6]);
  expect(reports.calls).toBe(2);
});
