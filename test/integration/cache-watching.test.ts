import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { EntityManager } from '@mikro-orm/core';
import { EntitySerializer } from 'mikro-orm-byref';
import { EntityCache } from 'mikro-orm-byref/cache';
import { Comment, domain, User } from '../../fixtures/domain.ts';
import { Animal, Car, Cat, Document, Dog, inheritance, Invoice, Puppy, Vehicle } from '../../fixtures/inheritance.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { inMemory } from '../support/bento.ts';
import { openDatabase } from '../support/database.ts';
import { testWith } from '../support/test-with.ts';

let database: TestOrm;
let cache: EntityCache;

async function open(...args: Parameters<typeof openDatabase>): Promise<void> {
  database = await openDatabase(...args);
  cache = new EntityCache(new EntitySerializer(database.orm), inMemory(), { singleProcess: true });
}
afterEach(() => database.close());

/** How often a value that depends on some classes has been made, one call later. */
async function madeFor(name: string, dependsOn: readonly (abstract new () => object)[]): Promise<number> {
  const options = { key: name, ttlMs: 60_000, dependsOn: dependsOn as never };
  let made = (counts.get(name) ?? 0) as number;
  await cache.getOrSet({ ...options, factory: () => void made++ });
  counts.set(name, made);
  return made;
}
let counts: Map<string, number>;
beforeEach(() => {
  counts = new Map();
});

describe('dependsOn', () => {
  beforeEach(() => open(inheritance));

  const all = async () => [
    await madeFor('animals', [Animal]),
    await madeFor('dogs', [Dog]),
    await madeFor('cats', [Cat]),
    await madeFor('vehicles', [Vehicle]),
    await madeFor('documents', [Document]),
  ];

  test('takes in subclasses of single tables, of tables per type and of an abstract base', async () => {
    expect(await all()).toEqual([1, 1, 1, 1, 1]);
    const em = database.orm.em.fork();
    const puppy = em.create(Puppy, { id: 1, name: 'Bit' } as never);
    await em.flush();
    expect(await all()).toEqual([2, 2, 1, 1, 1]);
    em.create(Car, { id: 1, wheels: 4, doors: 5 } as never);
    await em.flush();
    expect(await all()).toEqual([2, 2, 1, 2, 1]);
    em.create(Invoice, { id: 1, total: 1 } as never);
    await em.flush();
    expect(await all()).toEqual([2, 2, 1, 2, 2]);
    await em.remove(puppy).flush();
    expect(await all()).toEqual([3, 3, 1, 2, 2]);
    await cache.touch(Animal);
    expect(await all()).toEqual([4, 4, 2, 2, 2]);
    await cache.touch(Document);
    expect(await all()).toEqual([4, 4, 2, 2, 3]);
  });

  test('a row is the same by whichever class of its tree a value names it', async () => {
    const em = database.orm.em.fork();
    em.create(Puppy, { id: 1, name: 'Bit' } as never);
    await em.flush();
    const name = () =>
      cache.getOrSet({
        key: 'name',
        ttlMs: 60_000,
        em: database.orm.em.fork(),
        factory: async (own) => {
          const animal = own.getReference(Animal, 1);
          return { animal, name: (await own.fork().findOneOrFail(Animal, 1)).name };
        },
      });
    expect((await name()).name).toBe('Bit');
    const other = database.orm.em.fork();
    (await other.findOneOrFail(Puppy, 1)).name = 'Byte';
    await other.flush();
    expect((await name()).name).toBe('Byte');
  });
});

describe('without implicit transactions', () => {
  beforeEach(() => open(domain, { implicitTransactions: false }));

  test('each statement counts at once', async () => {
    const made = () => madeFor('page', [Comment, User]);
    expect(await made()).toBe(1);
    const em = database.orm.em.fork();
    const user = em.create(User, { id: 1, name: 'Ann', email: 'a' });
    await em.flush();
    expect(await made()).toBe(2);
    user.name = 'Bea';
    await em.flush();
    expect(await made()).toBe(3);
    await em.remove(user).flush();
    expect(await made()).toBe(4);
    expect(await made()).toBe(4);
  });
});

describe('an EntityManager with an event manager of its own', () => {
  beforeEach(() => open(domain));

  test('is watched like any other, once', async () => {
    const made = () => madeFor('page', [User]);
    expect(await made()).toBe(1);
    const em = database.orm.em.fork({ freshEventManager: true });
    em.create(User, { id: 1, name: 'Ann', email: 'a' });
    await em.flush();
    expect([await made(), await made()]).toEqual([2, 2]);
    await em.transactional(async (own) => void ((await own.findOneOrFail(User, 1)).name = 'Bea'));
    expect([await made(), await made()]).toEqual([3, 3]);
  });
});

describe("MikroORM's result cache", () => {
  beforeEach(() => open(domain, { resultCache: { global: 60_000 } }));

  test('is passed by a factory, and neither read nor written', async () => {
    const em = database.orm.em.fork();
    const user = em.create(User, { id: 1, name: 'Ann', email: 'a' });
    await em.flush();
    const read = async (own: EntityManager): Promise<unknown[]> => [
      (await own.findOneOrFail(User, 1, { cache: ['user', 60_000] })).name,
      (await own.find(User, {})).map(({ name }) => name),
      await own.count(User, { name: 'Ann' }),
      (await own.fork().findOneOrFail(User, 1)).name,
      await own.transactional(async (inner) => (await inner.findOneOrFail(User, 1)).name),
      (await database.orm.em.findOneOrFail(User, { name: { $ne: '' } })).name,
    ];
    const get = (own: EntityManager) =>
      cache.getOrSet({ key: 'names', ttlMs: 60_000, em: own, dependsOn: [User], factory: read });
    const all = (name: string) => [name, [name], name === 'Ann' ? 1 : 0, name, name, name];
    expect(await get(database.orm.em.fork())).toEqual(all('Ann'));
    const outside = database.orm.em.fork();
    expect((await outside.findOneOrFail(User, 1, { cache: ['user', 60_000] })).name).toBe('Ann');
    user.name = 'Bea';
    await em.flush();
    expect(await get(database.orm.em.fork())).toEqual(all('Bea'));
    const again = database.orm.em.fork();
    expect((await again.findOneOrFail(User, 1, { cache: ['user', 60_000] })).name).toBe('Ann');
  });

  testWith('connections')('nor in a transaction', async () => {
    const em = database.orm.em.fork();
    const user = em.create(User, { id: 1, name: 'Ann', email: 'a' });
    await em.flush();
    const factory = async (own: EntityManager): Promise<string> =>
      (await own.findOneOrFail(User, 1, { cache: ['user', 60_000] })).name;
    expect(await factory(database.orm.em.fork())).toBe('Ann');
    user.name = 'Bea';
    await em.flush();
    const get = (own: EntityManager) => cache.getOrSet({ key: 'name', ttlMs: 60_000, em: own, factory });
    expect(await database.orm.em.fork().transactional(get)).toBe('Bea');
    expect(await factory(database.orm.em.fork())).toBe('Ann');
  });
});
