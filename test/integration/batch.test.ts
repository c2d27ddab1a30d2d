import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { EntitySchema, LockMode } from '@mikro-orm/core';
import { ByReference, type DeserializeOptions, EntitySerializer, type JsonObject } from 'mikro-orm-byref';
import { defineDto, ref } from 'mikro-orm-byref/class-transformer';
import { domain, Post, Tag, User } from '../../fixtures/domain.ts';
import { keys, FlagKey } from '../../fixtures/keys.ts';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { driver } from '../support/driver.ts';
import { failureOf } from '../support/failure.ts';
import { offlineOrm } from '../support/offline-orm.ts';
import { testWith } from '../support/test-with.ts';

let database: TestOrm;
let serializer: EntitySerializer;
const user = (id: number): JsonObject => ({ $byref: 1, data: { user: { $entity: ['User', id] } } });
const codes = (results: PromiseSettledResult<unknown>[]): unknown[] =>
  results.map((result) => (result.status === 'fulfilled' ? 'ok' : (result.reason as { code: unknown }).code));

beforeAll(async () => {
  database = await openDatabase([...domain, ...keys]);
  serializer = new EntitySerializer(database.orm);
  const em = database.orm.em.fork();
  for (let id = 1; id <= 100; id++) {
    const author = em.create(User, { id, name: `user ${id}`, email: `${id}@example.org` });
    em.create(Post, { id, title: `post ${id}`, body: '', author });
  }
  await em.flush();
});
afterAll(() => database.close());
beforeEach(() => {
  database.statements.length = 0;
});

describe('decodeAll', () => {
  test('100 payloads with a user and a post each take one query per model', async () => {
    const em = database.orm.em.fork();
    const payloads = Array.from({ length: 100 }, (_, index) =>
      serializer.encode({ user: em.getReference(User, index + 1), post: em.getReference(Post, index + 1), n: index }),
    );
    const results = await serializer.decodeAll(payloads, { em: database.orm.em.fork() });
    expect(selects(database.statements)).toHaveLength(2);
    for (const [index, result] of results.entries()) {
      if (result.status === 'rejected') throw result.reason;
      expect([result.value.n, result.value.user.name, result.value.post.title]).toEqual([
        index,
        `user ${index + 1}`,
        `post ${index + 1}`,
      ]);
    }
  });

  test('one that can’t be read does not spoil the others', async () => {
    const payloads = [
      user(1),
      user(404),
      { $byref: 1, data: { $entity: ['Nobody', 1] } },
      { $byref: 1, data: { $regexp: 1 } },
      [1],
      { $byref: 2, data: 1 },
      user(2),
      { $byref: 1, data: 'no entity' },
    ];
    const results = await serializer.decodeAll(payloads as JsonObject[], { em: database.orm.em.fork() });
    expect(codes(results)).toEqual([
      'ok',
      'E_ENTITY_NOT_FOUND',
      'E_UNKNOWN_MODEL',
      'E_MALFORMED',
      'E_MALFORMED',
      'E_UNSUPPORTED_VERSION',
      'ok',
      'ok',
    ]);
    expect(selects(database.statements)).toHaveLength(1);
    expect(results[6]).toMatchObject({ value: { user: { name: 'user 2' } } });
    expect(results[7]).toMatchObject({ value: 'no entity' });
  });

  testWith('strictColumns')('a key that only the database can refuse fails its own payload', async () => {
    const bad = { $byref: 1, data: { $entity: [FlagKey.name, [true, 0.5, 'noon']] } };
    const results = await serializer.decodeAll([user(1), bad, user(3)], { em: database.orm.em.fork() });
    expect(codes(results)).toEqual(['ok', 'E_MALFORMED', 'ok']);
  });

  test('the same row in two payloads is the same object; policies hold for each', async () => {
    const em = database.orm.em.fork();
    const results = await serializer.decodeAll([user(1), user(1), user(404)], { em, missing: 'null' });
    const [first, second, third] = results.map((result) => (result as { value: { user: User } }).value.user);
    expect(first).toBe(second);
    expect(third).toBeNull();
    expect(await serializer.decodeAll([])).toEqual([]);
  });

  test('a failure of the database is thrown', async () => {
    const em = database.orm.em.fork();
    await database.orm.em.fork().getConnection().execute('alter table tag rename to gone');
    const tag = { $byref: 1, data: { $entity: [Tag.name, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'] } };
    await expect(serializer.decodeAll([user(1), tag], { em })).rejects.toMatchObject({
      name: 'TableNotFoundException',
    });
    await database.orm.em.fork().getConnection().execute('alter table gone rename to tag');
  });
});

describe('an error of the options is the caller’s, however many payloads there are', () => {
  const lazily = { freshness: 'lazy' } as const;
  const wrong: [string, () => DeserializeOptions][] = [
    ['a misspelt option', () => ({ mising: 'null' }) as never],
    ['a class that is no entity in only', () => ({ only: [Map] })],
    ['an unknown model in populate', () => ({ populate: { Usr: ['posts'] } })],
    ['an unknown relation in populate', () => ({ populate: { User: ['posts.autor'] } })],
    ['text for a list of relations', () => ({ populate: { User: 'posts' } as never })],
    ['an unknown model in filters', () => ({ filters: { Usr: false } as never })],
    ['an EntityManager of another ORM', () => ({ em: other.orm.em.fork() })],
    ['a policy that a lazy reference can’t keep', () => ({ ...lazily, missing: 'null' })],
    ['a demand for signatures without keys', () => ({ signed: { purpose: 'jobs' } })],
  ];
  /** What only a payload with a reference meets. */
  const wrongWhereMet: [string, () => DeserializeOptions][] = [
    ['a property’s policy that a lazy reference can’t keep', () => ({ ...lazily, as: dto({ missing: 'null' }) })],
    ['an unknown relation of a property', () => ({ as: dto({ populate: ['autor'] }) })],
    ['row locks outside a transaction', () => ({ lockMode: LockMode.PESSIMISTIC_WRITE })],
  ];
  let other: TestOrm;
  beforeAll(async () => {
    other = await openDatabase(domain);
  });
  afterAll(() => other.close());

  function dto(options: Parameters<typeof ref>[1]): new () => object {
    class Job {
      declare user: User;
    }
    defineDto(Job, { user: ref(() => User, options) });
    return Job;
  }

  test.each(wrong)('%s', async (_name, options) => {
    const given = { em: database.orm.em.fork(), ...options() };
    for (const payloads of [[], [user(1)], [user(1), user(2)]]) {
      expect(await failureOf(() => serializer.decodeAll(payloads, given))).toMatchObject({ code: 'E_INVALID_OPTION' });
    }
    expect(await failureOf(() => serializer.decode(user(1), given))).toMatchObject({ code: 'E_INVALID_OPTION' });
    expect(database.statements).toEqual([]);
  });

  test.each(wrongWhereMet)('%s', async (_name, options) => {
    const given = { em: database.orm.em.fork(), ...options() };
    const code = driver === 'sqlite' && given.lockMode !== undefined ? 'E_UNSUPPORTED' : 'E_INVALID_OPTION';
    for (const payloads of [[user(1)], [user(1), user(2)], [user(1), { $byref: 1, data: {} }]]) {
      expect(await failureOf(() => serializer.decodeAll(payloads, given))).toMatchObject({ code });
    }
    expect(await failureOf(() => serializer.decode(user(1), given))).toMatchObject({ code });
    expect(database.statements).toEqual([]);
  });

  test('a relation that a class option names has to be there at start', async () => {
    class Article {
      declare id: number;
    }
    ByReference({ populate: ['autor'] })(Article);
    const schema = new EntitySchema({ class: Article, properties: { id: { type: 'integer', primary: true } } });
    const orm = offlineOrm([schema]);
    const error = await failureOf(() => new EntitySerializer(orm));
    expect([error.code, error.message]).toEqual(['E_INVALID_OPTION', expect.stringContaining('autor')]);
    await orm.close(true);
  });
});

test('metadata travels beside the data, and may not take its members', async () => {
  const payload = serializer.encode({ a: 1 }, { metadata: { task: { name: 'x' } } });
  expect(payload).toEqual({ $byref: 1, data: { a: 1 }, task: { name: 'x' } });
  expect(await serializer.decode(payload)).toEqual({ a: 1 });
  for (const name of ['$byref', 'data', 'purpose', 'expiresAt', 'signature']) {
    const error = await failureOf(() => serializer.encode(1, { metadata: { [name]: 1 } }));
    expect(error.code).toBe('E_INVALID_OPTION');
  }
});
