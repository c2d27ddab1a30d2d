import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type EntityManager, LockMode, RequestContext, wrap } from '@mikro-orm/core';
import { EntitySerializer, EntityToken, type LocateOptions } from 'mikro-orm-byref';
import { Comment, domain, Post, User } from '../../fixtures/domain.ts';
import { schemaOf } from '../../fixtures/majors.ts';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { testWith } from '../support/test-with.ts';

let database: TestOrm;
let serializer: EntitySerializer;
let em: EntityManager;

beforeAll(async () => {
  database = await openDatabase(domain);
  // The defaults are for payloads: what locate() returns is for the call to say.
  serializer = new EntitySerializer(database.orm, { missing: 'null' });
});
afterAll(() => database.close());

beforeEach(async () => {
  await schemaOf(database.orm).clear();
  const own = database.orm.em.fork();
  const bob = own.create(User, { id: 1, name: 'Bob', email: 'bob@example' });
  const ann = own.create(User, { id: 2, name: 'Ann', email: 'ann@example' });
  const post = own.create(Post, { id: 1, title: 'Hello', body: 'World', author: bob });
  own.create(Comment, { id: 1n, text: 'first', post, author: ann });
  await own.flush();
  em = database.orm.em.fork();
  database.statements.length = 0;
});

const user = (id: number, details = {}): EntityToken => new EntityToken('User', id, details);
const gone = user(9);
const update = (sql: string): Promise<unknown> => database.orm.em.fork().getConnection().execute(sql);

describe('locate', () => {
  test('gives the row of now behind a token', async () => {
    const bob = await em.findOneOrFail(User, 1);
    await update(`update "user" set name = 'Robert' where id = 1`);
    database.statements.length = 0;
    expect(await serializer.locate(serializer.token(bob), { em })).toBe(bob);
    expect([bob.name, selects(database.statements)]).toEqual(['Robert', [expect.stringMatching(/["`]user["`]/)]]);
  });

  test("behind a token's text, of the classes that the call names", async () => {
    const text = user(1).toString();
    expect(await serializer.locate(text, { only: [User], em })).toMatchObject({ name: 'Bob' });
    expect((await failureOf(() => serializer.locate(text, { only: [Post], em }))).code).toBe('E_MODEL_NOT_ALLOWED');
    expect((await failureOf(() => serializer.locate(text, { only: [], em }))).code).toBe('E_MODEL_NOT_ALLOWED');
    for (const options of [{ em }, { em, only: undefined }]) {
      const error = await failureOf(() => serializer.locate(text as never, options as LocateOptions));
      expect([error.code, error.message]).toEqual(['E_INVALID_OPTION', expect.stringContaining('option only')]);
    }
    expect((await failureOf(() => serializer.locate(text as never))).code).toBe('E_INVALID_OPTION');
    for (const garbage of ['', 'x', serializer.serialize(1), '["User",1]', `${text}=`]) {
      expect((await failureOf(() => serializer.locate(garbage, { only: [User], em }))).code).toBe('E_MALFORMED');
    }
    expect(database.statements).toHaveLength(1);
  });

  test('finds what is missing so unless the call says what stands for it, whatever the defaults', async () => {
    const error = await failureOf(() => serializer.locate(gone, { em }));
    expect([error.code, error.path, error.tokens[0]?.equals(gone)]).toEqual(['E_ENTITY_NOT_FOUND', '$', true]);
    for (const missing of ['null', 'omit'] as const) {
      expect(await serializer.locate(gone, { em, missing })).toBeNull();
      expect(await serializer.locate(user(1), { em, missing })).toBeInstanceOf(User);
    }
  });

  test('takes neither entities nor references nor copies of tokens, and says what to do', async () => {
    const bob = await em.findOneOrFail(User, 1);
    for (const other of [bob, wrap(bob).toReference(), structuredClone(user(1)), 1, null, undefined, ['User', 1]]) {
      const error = await failureOf(() => serializer.locate(other as never, { em, only: [User] }));
      expect([error.code, error.message]).toEqual(['E_INVALID_OPTION', expect.stringContaining('EntityToken.from()')]);
    }
    const promise = Promise.resolve(user(1));
    expect((await failureOf(() => serializer.locate(promise as never, { em }))).message).toContain('awaited');
  });

  test('refuses an unknown model, a key of another type, and options that say nothing about a row', async () => {
    const codeOf = async (token: EntityToken, options = {}): Promise<string> =>
      (await failureOf(() => serializer.locate(token, { em, ...options }))).code;
    expect(await codeOf(new EntityToken('Nobody', 1))).toBe('E_UNKNOWN_MODEL');
    expect(await codeOf(new EntityToken('User', 'x'))).toBe('E_MALFORMED');
    for (const options of [{ signed: { purpose: 'a' } }, { as: class {} }, { limits: {} }, { mising: 'null' }]) {
      expect(await codeOf(user(1), options)).toBe('E_INVALID_OPTION');
    }
    for (const read of [serializer.locate, serializer.locateMany] as ((...args: unknown[]) => Promise<unknown>)[]) {
      const error = await failureOf(() => read.call(serializer, [], null));
      expect([error.code, error.message]).toEqual(['E_INVALID_OPTION', expect.stringContaining('options')]);
    }
    expect(database.statements).toEqual([]);
  });

  test('has the EntityManager of the request where none is given', async () => {
    await RequestContext.create(database.orm.em, async () => {
      expect(await serializer.locate(user(1))).toBe(await database.orm.em.findOne(User, 1));
    });
    expect((await failureOf(() => serializer.locate(user(1)))).code).toBe('E_INVALID_OPTION');
  });
});

describe('locateMany', () => {
  const post = new EntityToken('Post', 1);
  const comment = new EntityToken('Comment', 1n);

  test('gives entities in order, the same row the same object, one query per model', async () => {
    const tokens = [user(2), post, user(1), comment, user(2, { version: 1 }), post];
    const found = await serializer.locateMany(tokens, { em });
    const [ann, hello, bob, first] = found;
    expect(found).toEqual([ann, hello, bob, first, ann, hello]);
    expect(found.map((entity) => entity.constructor)).toEqual([User, Post, User, Comment, User, Post]);
    expect(found[4]).toBe(ann);
    expect(await em.findOne(User, 2)).toBe(ann);
    expect(selects(database.statements)).toHaveLength(3);
  });

  test('none of none, without a query or an EntityManager', async () => {
    expect(await serializer.locateMany([])).toEqual([]);
    expect(database.statements).toEqual([]);
  });

  test('null in place, nothing in place, or an error that lists all', async () => {
    const tokens = [gone, user(1), new EntityToken('Post', 9), user(2), gone];
    const names = async (missing: 'null' | 'omit'): Promise<unknown[]> =>
      (await serializer.locateMany<User>(tokens, { em, missing })).map((found) => found?.name ?? null);
    expect(await names('null')).toEqual([null, 'Bob', null, 'Ann', null]);
    expect(await names('omit')).toEqual(['Bob', 'Ann']);
    const error = await failureOf(() => serializer.locateMany(tokens, { em }));
    expect([error.code, error.path]).toEqual(['E_ENTITY_NOT_FOUND', '$[0]']);
    expect(error.tokens.map((token) => token.model)).toEqual(['User', 'Post']);
  });

  test('texts among tokens need only, which holds for all of them', async () => {
    const mixed = [user(1).toString(), user(2)];
    expect(await serializer.locateMany(mixed, { em, only: [User] })).toMatchObject([{ name: 'Bob' }, { name: 'Ann' }]);
    expect((await failureOf(() => serializer.locateMany(mixed as never, { em }))).message).toContain('option only');
    const error = await failureOf(() => serializer.locateMany([user(1), post], { em, only: [User] }));
    expect([error.code, error.path]).toEqual(['E_MODEL_NOT_ALLOWED', '$[1]']);
    expect((await failureOf(() => serializer.locateMany(user(1) as never, { em }))).code).toBe('E_INVALID_OPTION');
  });
});

describe('the options of a revive', () => {
  const one = (options: LocateOptions, token = user(1)): Promise<object | null> =>
    serializer.locate(token, { em, missing: 'null', ...options });

  test('populate, filters', async () => {
    const found = await serializer.locate<Post>(new EntityToken('Post', 1), { em, populate: { Post: ['author'] } });
    expect(wrap(found.author).isInitialized()).toBe(true);
    expect((await failureOf(() => one({ populate: { Post: ['autor'] } }))).code).toBe('E_INVALID_OPTION');
    expect(await one({ filters: false })).toBeInstanceOf(User);
  });

  test('authorize', async () => {
    const asked: string[] = [];
    const authorize = (_entity: unknown, token: EntityToken): boolean => {
      asked.push(token.toString());
      return false;
    };
    expect(await one({ authorize })).toBeNull();
    expect(asked).toEqual([user(1).toString()]);
  });

  test('freshness, unflushed', async () => {
    const bob = (await one({})) as User;
    bob.name = 'Robert';
    expect(await one({ unflushed: 'keep' })).toMatchObject({ name: 'Robert' });
    expect((await failureOf(() => one({ unflushed: 'throw' }))).code).toBe('E_UNFLUSHED');
    expect(await one({ unflushed: 'overwrite' })).toMatchObject({ name: 'Bob' });
    database.statements.length = 0;
    expect(await one({ freshness: 'managed' })).toBe(bob);
    expect(wrap((await one({ freshness: 'lazy', missing: 'throw' }, user(2)))!).isInitialized()).toBe(false);
    expect((await failureOf(() => one({ freshness: 'lazy' }))).code).toBe('E_INVALID_OPTION');
    expect(database.statements).toEqual([]);
  });

  test('drift', async () => {
    await update(`update "user" set version = 2 where id = 1`);
    const dated = user(1, { version: 1 });
    expect(await one({}, dated)).toBeInstanceOf(User);
    expect((await failureOf(() => one({ drift: 'throw' }, dated))).code).toBe('E_DRIFT');
    expect((await failureOf(() => one({}, user(1, { version: 3 })))).code).toBe('E_NOT_YET_VISIBLE');
  });

  test('schema', async () => {
    const error = await failureOf(() => one({}, user(1, { schema: 'elsewhere' })));
    expect(error.code).toBe('E_SCHEMA_NOT_ALLOWED');
  });

  testWith('rowLocks')('lockMode', async () => {
    expect((await failureOf(() => one({ lockMode: LockMode.PESSIMISTIC_WRITE }))).code).toBe('E_INVALID_OPTION');
    await em.transactional(async (own) => {
      await serializer.locateMany([user(1), user(2)], { em: own, lockMode: LockMode.PESSIMISTIC_WRITE });
    });
    expect(selects(database.statements)).toEqual([expect.stringMatching(/for update/)]);
  });
});

test('a token that went through a thread, a queue and a URL names its row', async () => {
  const token = serializer.token(await em.findOneOrFail(Comment, 1n), { versions: true });
  const ways = [structuredClone(token), JSON.parse(JSON.stringify(token)), EntityToken.parse(token.toString())];
  for (const way of ways)
    expect(await serializer.locate(EntityToken.from(way), { em })).toMatchObject({ text: 'first' });
});
