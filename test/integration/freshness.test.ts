import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Collection, type EntityManager, ref, wrap } from '@mikro-orm/core';
import { EntitySerializer, type ReviveReport } from 'mikro-orm-byref';
import { Comment, domain, Post, Tag, User } from '../../fixtures/domain.ts';
import { makeOrm, schemaOf } from '../../fixtures/majors.ts';
import type { MikroORM } from '@mikro-orm/postgresql';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { testWith } from '../support/test-with.ts';

let database: TestOrm;
let serializer: EntitySerializer;
let em: EntityManager;

beforeAll(async () => {
  database = await openDatabase(domain);
  serializer = new EntitySerializer(database.orm);
});
afterAll(() => database.close());

/** Bob (1) and Ann (2), a post of each, two comments under Bob's. */
beforeEach(async () => {
  await schemaOf(database.orm).clear();
  em = database.orm.em.fork();
  const bob = em.create(User, { id: 1, name: 'Bob', email: 'bob@old.example', nickname: 'Bobby' });
  const ann = em.create(User, { id: 2, name: 'Ann', email: 'ann@example' });
  const post = em.create(Post, { id: 1, title: 'Hello', body: 'World', author: bob });
  em.create(Post, { id: 2, title: 'Second', body: 'Post', author: ann });
  em.create(Comment, { id: 1n, text: 'first', post, author: ann });
  em.create(Comment, { id: 2n, text: 'second', post, author: bob });
  post.tags.add(em.create(Tag, { id: 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', label: 'news' }));
  await em.flush();
  database.statements.length = 0;
});

const user = (id: number): Promise<User> => em.findOneOrFail(User, id);
const fork = (): EntityManager => database.orm.em.fork();
const update = (sql: string): Promise<unknown> => fork().getConnection().execute(sql);

describe('the main job', () => {
  test('a job that was queued with a user reads the address of now', async () => {
    const payload = serializer.serialize({ user: await user(1), due: new Date(0) });
    expect(payload).toBe(
      '{"$byref":1,"data":{"user":{"$entity":["User",1]},"due":{"$date":"1970-01-01T00:00:00.000Z"}}}',
    );
    await update(`update "user" set email = 'bob@new.example', nickname = null where id = 1`);
    const worker = fork();
    const job = await serializer.deserialize(payload, { em: worker });
    expect(job.user).toBeInstanceOf(User);
    expect([job.user.email, job.user.nickname]).toEqual(['bob@new.example', null]);
    expect(job.due).toEqual(new Date(0));
    job.user.name = 'Robert';
    await worker.flush();
    expect(await fork().findOneOrFail(User, 1)).toMatchObject({ name: 'Robert' });
  });

  test('one query per model, the same row the same object, order and duplicates kept', async () => {
    const [bob, ann] = [await user(1), await user(2)];
    const post = await em.findOneOrFail(Post, 1);
    const comments = await em.find(Comment, {}, { orderBy: { id: 'desc' } });
    const value = {
      list: [ann, bob, post, ann, comments],
      map: new Map<unknown, unknown>([
        [bob, post],
        ['k', [ann]],
      ]),
      set: new Set([post, bob]),
      ref: ref(ann),
      author: post.author,
    };
    const payload = serializer.serialize(value);
    database.statements.length = 0;
    let report: ReviveReport | undefined;
    const back = await serializer.deserialize(payload, { em: fork(), onRevive: (r) => (report = r) });
    expect(selects(database.statements)).toHaveLength(3);
    expect(report).toMatchObject({ tokens: 13, rows: 5, queries: 3, missing: [], drifted: [], unflushed: [] });
    expect(report!.ms).toBeGreaterThan(0);
    const [first, second, third, fourth, fifth] = back.list as [User, User, Post, User, Comment[]];
    expect([first.name, second.name, third.title, fourth === first]).toEqual(['Ann', 'Bob', 'Hello', true]);
    expect(fifth.map((comment) => comment.id)).toEqual([2n, 1n]);
    expect([...back.map.entries()]).toEqual([
      [second, third],
      ['k', [first]],
    ]);
    expect([...back.set]).toEqual([third, second]);
    expect(back.ref).toBe(first);
    expect(back.author).toBe(second);
    expect(third.author.unwrap()).toBe(second);
  });

  test('a loaded collection travels as an array, one that is not loaded is refused', async () => {
    const post = await em.fork().findOneOrFail(Post, 1, { populate: ['comments'] });
    const back = await serializer.deserialize(serializer.serialize(post.comments), { em: fork() });
    expect(back.map((comment) => comment.text)).toEqual(['first', 'second']);
    const tokens = [1, 2].map((id) => ({ $entity: ['Comment', { $bigint: String(id) }] }));
    expect(JSON.parse(JSON.stringify(post.comments))).toEqual(tokens);
    const bare = await em.fork().findOneOrFail(Post, 1);
    const error = await failureOf(() => serializer.serialize({ comments: bare.comments }));
    expect([error.code, error.path]).toEqual(['E_UNSERIALIZABLE', '$.comments']);
    expect(bare.comments).toBeInstanceOf(Collection);
  });

  test('a reference that was never loaded travels too', async () => {
    const reference = fork().getReference(User, 2);
    database.statements.length = 0;
    const payload = serializer.serialize({ a: reference, b: ref(reference) });
    expect(payload).toBe('{"$byref":1,"data":{"a":{"$entity":["User",2]},"b":{"$entity":["User",2]}}}');
    expect(database.statements).toEqual([]);
    const back = await serializer.deserialize(payload, { em: fork() });
    expect(back.a).toBe(back.b);
    expect(back.a.name).toBe('Ann');
  });

  test('10,000 references of one model take one query', async () => {
    const users = Array.from({ length: 10_000 }, (_, index) => ({ id: index + 3, name: `n${index + 3}`, email: 'e' }));
    await fork().insertMany(User, users.map((user) => ({ ...user, version: 1, updatedAt: new Date() })) as never);
    const list = Array.from({ length: 10_000 }, (_, index) => ({ $entity: ['User', index + 3] }));
    database.statements.length = 0;
    const back = await serializer.decode<User[]>({ $byref: 1, data: list }, { em: fork() });
    expect(selects(database.statements)).toHaveLength(1);
    expect([back.length, back[0]!.name, back[9_999]!.name]).toEqual([10_000, 'n3', 'n10002']);
    const more = [...list, { $entity: ['User', 1] }];
    await serializer.decode({ $byref: 1, data: more }, { em: fork() });
    expect(selects(database.statements)).toHaveLength(3);
  });

  test('no references, no query, no EntityManager', async () => {
    expect(await serializer.deserialize(serializer.serialize([1, 'a']))).toEqual([1, 'a']);
    expect(database.statements).toEqual([]);
  });

  test("the request's EntityManager is found; the global one is refused as MikroORM refuses it", async () => {
    const { RequestContext } = await import('@mikro-orm/core');
    const payload = serializer.serialize(await user(1));
    await RequestContext.create(database.orm.em, async () => {
      const back = await serializer.deserialize(payload);
      expect(wrap(back).isInitialized()).toBe(true);
      expect(database.orm.em.getUnitOfWork().getIdentityMap().keys()).toHaveLength(1);
    });
    await expect(serializer.deserialize(payload)).rejects.toThrow(/global EntityManager/);
  });

  test('an EntityManager of another ORM is refused', async () => {
    const other = await openDatabase(domain);
    const error = await failureOf(() =>
      serializer.decode({ $byref: 1, data: { $entity: ['User', 1] } }, { em: other.orm.em.fork() }),
    );
    expect(error.code).toBe('E_INVALID_OPTION');
    await other.close();
  });
});

describe('what serialize refuses', () => {
  test('an entity without a row, by whatever key it has', async () => {
    const created = em.create(User, { id: 9, name: 'New', email: 'new@example' });
    for (const refused of [() => serializer.serialize({ list: [created] }), () => serializer.token(created)]) {
      expect((await failureOf(refused)).code).toBe('E_UNPERSISTED');
    }
    expect((await failureOf(() => serializer.serialize({ list: [created] }))).path).toBe('$.list[0]');
    expect(() => JSON.stringify({ created })).toThrow(expect.objectContaining({ code: 'E_UNPERSISTED' }));
  });

  test('an entity that is removed, before and after the flush', async () => {
    const comment = await em.findOneOrFail(Comment, 2n);
    em.remove(comment);
    expect((await failureOf(() => serializer.serialize(comment))).code).toBe('E_REMOVED');
    await em.flush();
    expect((await failureOf(() => serializer.serialize([comment]))).code).toBe('E_REMOVED');
  });

  test("an entity with unflushed changes, with unflushed: 'throw' alone", async () => {
    const bob = await user(1);
    expect(serializer.serialize(bob, { unflushed: 'throw' })).toContain('["User",1]');
    bob.name = 'Robert';
    expect(serializer.serialize(bob)).toContain('["User",1]');
    const error = await failureOf(() => serializer.serialize({ bob }, { unflushed: 'throw' }));
    expect([error.code, error.path, error.tokens[0]!.primaryKey]).toEqual(['E_UNFLUSHED', '$.bob', 1]);
  });

  test('a many-to-many collection that has changed is an unflushed change', async () => {
    const post = await em.fork().findOneOrFail(Post, 1, { populate: ['tags'] });
    post.tags.removeAll();
    expect((await failureOf(() => serializer.serialize(post, { unflushed: 'throw' }))).code).toBe('E_UNFLUSHED');
  });
});

describe('freshness', () => {
  test('refresh reads again what the identity map has, values that became NULL included', async () => {
    const bob = await user(1);
    const payload = serializer.serialize(bob);
    await update(`update "user" set nickname = null, email = 'x', version = 7 where id = 1`);
    expect(await serializer.deserialize(payload, { em })).toBe(bob);
    expect([bob.nickname, bob.email, bob.version]).toEqual([null, 'x', 7]);
  });

  test('managed keeps what is loaded and reads only the rest', async () => {
    const worker = fork();
    const bob = await worker.findOneOrFail(User, 1);
    await update(`update "user" set email = 'x'`);
    database.statements.length = 0;
    const data = [{ $entity: ['User', 1] }, { $entity: ['User', 2] }];
    const back = await serializer.decode<User[]>({ $byref: 1, data }, { em: worker, freshness: 'managed' });
    expect(back[0]).toBe(bob);
    expect(back.map(({ email }) => email)).toEqual(['bob@old.example', 'x']);
    expect(selects(database.statements)).toHaveLength(1);
    database.statements.length = 0;
    await serializer.decode({ $byref: 1, data }, { em: worker, freshness: 'managed' });
    expect(database.statements).toEqual([]);
  });

  test('lazy gives references without a query', async () => {
    const worker = fork();
    const data = [{ $entity: ['User', 1] }, { $entity: ['User', 999] }, { $entity: ['User', 1] }];
    const back = await serializer.decode<User[]>({ $byref: 1, data }, { em: worker, freshness: 'lazy' });
    expect(database.statements).toEqual([]);
    expect(back[0]).toBe(back[2]);
    expect(back[0]).toBe(worker.getReference(User, 1));
    expect([wrap(back[0]!).isInitialized(), back[1]!.id]).toEqual([false, 999]);
  });

  test.each([{ missing: 'null' }, { drift: 'throw' }, { authorize: () => true }] as const)(
    'lazy can not promise %p',
    async (options) => {
      const payload = serializer.serialize(await user(1));
      const error = await failureOf(() => serializer.deserialize(payload, { em, freshness: 'lazy', ...options }));
      expect(error.code).toBe('E_INVALID_OPTION');
    },
  );
});

describe('unflushed changes of the receiver', () => {
  const both = { $byref: 1, data: [{ $entity: ['User', 1] }, { $entity: ['User', 2] }] };

  test('keep: of the changed entity the change stays, all else is as it is now', async () => {
    const [bob, ann] = [await user(1), await user(2)];
    bob.name = 'Robert';
    await update(`update "user" set email = 'x'`);
    database.statements.length = 0;
    let report: ReviveReport | undefined;
    const back = await serializer.decode<User[]>(both, { em, onRevive: (r) => (report = r) });
    expect(back).toEqual([bob, ann]);
    expect(back[0]).toBe(bob);
    expect([bob.name, bob.email, ann.email]).toEqual(['Robert', 'x', 'x']);
    expect(report!.unflushed.map((token) => token.primaryKey)).toEqual([1]);
    expect(selects(database.statements)).toHaveLength(1);
    await em.flush();
    expect(await fork().findOneOrFail(User, 1)).toMatchObject({ name: 'Robert', email: 'x' });
  });

  test('keep: that the row exists is still checked', async () => {
    const bob = await user(1);
    bob.name = 'Robert';
    for (const table of ['comment', 'post_tags', 'post']) await update(`delete from ${table}`);
    await update('delete from "user" where id = 1');
    const error = await failureOf(() => serializer.decode(both, { em }));
    expect([error.code, error.tokens.map((token) => token.primaryKey)]).toEqual(['E_ENTITY_NOT_FOUND', [1]]);
  });

  test('throw: refused before any query', async () => {
    (await user(1)).name = 'Robert';
    database.statements.length = 0;
    const error = await failureOf(() => serializer.decode(both, { em, unflushed: 'throw' }));
    expect([error.code, error.tokens.map((token) => token.primaryKey), error.path]).toEqual([
      'E_UNFLUSHED',
      [1],
      '$[0]',
    ]);
    expect(database.statements).toEqual([]);
  });

  test('overwrite: the row wins', async () => {
    const bob = await user(1);
    bob.name = 'Robert';
    await serializer.decode(both, { em, unflushed: 'overwrite' });
    expect(bob.name).toBe('Bob');
  });

  test('relations that are loaded along keep their changes too', async () => {
    const bob = await user(1);
    bob.name = 'Robert';
    const payload = serializer.serialize(await em.findOneOrFail(Post, 1, { flushMode: 'commit' }));
    await update(`update "user" set email = 'x'`);
    const post = await serializer.deserialize(payload, { em, populate: { Post: ['author', 'comments.author'] } });
    expect(post.author.unwrap()).toBe(bob);
    expect(bob.name).toBe('Robert');
    expect(post.comments.isInitialized()).toBe(true);
  });

  test('nor does loading relations along flush, a new entity of their class least of all', async () => {
    const data = { $byref: 1, data: { $entity: ['Post', 1] } };
    for (const unflushed of ['keep', 'overwrite'] as const) {
      for (const freshness of ['refresh', 'managed'] as const) {
        const own = fork();
        const author = await own.findOneOrFail(User, 2);
        own.create(Comment, { id: 9n, text: 'new', post: own.getReference(Post, 2), author });
        database.statements.length = 0;
        await serializer.decode(data, { em: own, unflushed, freshness, populate: { Post: ['comments'] } });
        expect(database.statements).toEqual(selects(database.statements));
      }
    }
  });

  test('no method is left on the EntityManager: after one call, several at once, and one that fails', async () => {
    const data = { $byref: 1, data: { $entity: ['Post', 1] } };
    const before = Reflect.ownKeys(em);
    const populate = { Post: ['comments'] };
    await serializer.decode(data, { em, populate });
    await Promise.all([1, 2, 3].map(() => serializer.decode(data, { em, populate })));
    // Its transaction is over, and so no query of it works.
    const ended = await em.transactional(async (own) => own);
    await expect(serializer.decode(data, { em: ended, populate })).rejects.toThrow();
    expect(Object.hasOwn(ended, 'tryFlush')).toBe(false);
    expect(Reflect.ownKeys(em)).toEqual(before);
  });

  test('reviving never flushes', async () => {
    em.create(User, { id: 3, name: 'New', email: 'e' });
    (await user(2)).name = 'Anna';
    const payload = serializer.serialize(em.getReference(User, 1));
    database.statements.length = 0;
    await serializer.deserialize(payload, { em });
    expect(database.statements.filter((statement) => !statement.startsWith('select'))).toEqual([]);
  });

  test('an entity that is scheduled for removal is missing', async () => {
    em.remove(await user(2));
    for (const freshness of ['refresh', 'managed', 'lazy'] as const) {
      const error = await failureOf(() => serializer.decode(both, { em, freshness }));
      expect([error.code, error.tokens.map((token) => token.primaryKey)]).toEqual(['E_ENTITY_NOT_FOUND', [2]]);
    }
  });
});

describe('a result cache and a replica are no source', () => {
  test('the global result cache is passed by', async () => {
    const cached = await openDatabase(domain, { resultCache: { global: 60_000 } });
    const serializerOfCached = new EntitySerializer(cached.orm);
    await cached.orm.em.fork().insert(User, { id: 1, name: 'Bob', email: 'old', version: 1, updatedAt: new Date() });
    const data = { $byref: 1, data: { $entity: ['User', 1] } };
    await serializerOfCached.decode(data, { em: cached.orm.em.fork() });
    await cached.orm.em.fork().getConnection().execute(`update "user" set email = 'new'`);
    const back = await serializerOfCached.decode<User>(data, { em: cached.orm.em.fork() });
    expect(back.email).toBe('new');
    await cached.close();
  });

  testWith('replicas')('reads go to the write connection', async () => {
    const clientUrl = database.orm.config.get('clientUrl')!;
    // A replica that is no server at all: a read that went there would fail.
    const replicas = [{ clientUrl: Object.assign(new URL(clientUrl), { host: '127.0.0.1:1' }).href }];
    const Orm = database.orm.constructor as typeof MikroORM;
    const driver = database.orm.config.get('driver')!; // with MikroORM 6 the class is of none
    const replicated = makeOrm({ entities: domain, clientUrl, replicas, driver }, Orm);
    const own = new EntitySerializer(replicated);
    const data = { $byref: 1, data: { $entity: ['User', 1] } };
    const back = await own.decode<User>(data, { em: replicated.em.fork(), populate: { User: ['posts'] } });
    expect([back.name, back.posts.length]).toEqual(['Bob', 1]);
    await expect(replicated.em.fork().findOne(User, 1)).rejects.toThrow(/ECONNREFUSED/);
    await replicated.close();
  });
});
