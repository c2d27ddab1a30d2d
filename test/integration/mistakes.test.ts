import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { EntitySchema, type Opt, RequestContext } from '@mikro-orm/core';
import { ByReference, byValue, EntitySerializer, EntityToken } from 'mikro-orm-byref';
import { EntityCache } from 'mikro-orm-byref/cache';
import { Locks } from 'mikro-orm-byref/locks';
import { Outbox } from 'mikro-orm-byref/outbox';
import { inlineEngine, Tasks } from 'mikro-orm-byref/tasks';
import { Entity, PrimaryKey, Property } from '../../fixtures/decorators.ts';
import { domain, Post, User } from '../../fixtures/domain.ts';
import { isMikroOrm6 } from '../../fixtures/majors.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { has } from '../support/has.ts';
import { offlineOrm } from '../support/offline-orm.ts';

/** Counts posts; a query, not a table. */
class Headcount {
  declare heads: number;
}
const HeadcountSchema = new EntitySchema<Headcount>({
  class: Headcount,
  expression: 'select cast(count(*) as int) as heads from post',
  properties: { heads: { type: 'number' } },
});

/** In a database of its own. */
class Bill {
  declare id: number;
}
ByReference()(Bill);
const BillSchema = new EntitySchema<Bill>({
  class: Bill,
  properties: { id: { type: 'number', primary: true } },
});

let database: TestOrm;
let billing: TestOrm;
let serializer: EntitySerializer;

beforeAll(async () => {
  database = await openDatabase([...domain, HeadcountSchema]);
  billing = await openDatabase([BillSchema], { contextName: 'billing' });
  serializer = new EntitySerializer(database.orm);
  const em = database.orm.em.fork();
  const bob = em.create(User, { id: 1, name: 'Bob', email: 'bob@example' });
  em.create(Post, { id: 1, title: 'Hello', body: 'World', author: bob });
  await em.flush();
  const own = billing.orm.em.fork();
  own.create(Bill, { id: 1 });
  await own.flush();
});
afterAll(() => Promise.all([database.close(), billing.close()]));

/** What a call is refused with: the code, the path, and a message that says what to do. */
async function expectRefusal(run: () => unknown, code: string, path: string | undefined, message: RegExp) {
  const error = await failureOf(run);
  expect([error.code, error.path, error.message]).toEqual([code, path, expect.stringMatching(message)]);
}

describe('a forgotten await', () => {
  const promised = (): Promise<User> => database.orm.em.fork().findOneOrFail(User, 1);

  test('is told where a value is written', async () => {
    const message = /promise at \$\.user could not come back; await it first/i;
    await expectRefusal(() => serializer.serialize({ user: promised() }), 'E_UNSERIALIZABLE', '$.user', message);
    await expectRefusal(() => serializer.dedupeKey([promised()]), 'E_UNSERIALIZABLE', '$[0]', /await it/);
    await expectRefusal(() => serializer.clone(promised()), 'E_UNSERIALIZABLE', '$', /await it/);
    await expectRefusal(() => serializer.token(promised()), 'E_UNSERIALIZABLE', undefined, /promise.*await it/);
    await expectRefusal(() => byValue(promised() as never), 'E_UNSERIALIZABLE', undefined, /await it/);
  });

  test('is told where a payload is read', async () => {
    const em = database.orm.em.fork();
    const payload = Promise.resolve(serializer.serialize(1)) as never;
    const message = /at \$: this is a promise; await it first/;
    await expectRefusal(() => serializer.deserialize(payload, { em }), 'E_MALFORMED', '$', message);
    await expectRefusal(() => serializer.decode(payload, { em }), 'E_MALFORMED', '$', message);
    await expectRefusal(() => serializer.verify(payload, { em, purpose: 'a' }), 'E_MALFORMED', '$', message);
    await expectRefusal(() => serializer.revive(payload, { em, only: [User] }), 'E_MALFORMED', '$', message);
    const outcomes = await serializer.decodeAll([payload, serializer.encode(1)], { em });
    expect(outcomes).toMatchObject([{ reason: { message: expect.stringMatching(message) } }, { value: 1 }]);
  });

  test('is told of MikroORM.init', async () => {
    const init = Promise.resolve(database.orm) as never;
    const message = /orms: expected a MikroORM or an array of them, got a promise, which is to be awaited/;
    for (const orms of [init, [database.orm, init]])
      await expectRefusal(() => new EntitySerializer(orms), 'E_INVALID_OPTION', undefined, message);
    for (const [orms, got] of [
      [[], 'an array'],
      [{}, 'an object'],
      [database.orm.em, 'an instance of \\w*EntityManager'],
    ] as const)
      await expectRefusal(
        () => new EntitySerializer(orms as never),
        'E_INVALID_OPTION',
        undefined,
        RegExp(`got ${got}`),
      );
  });

  test('is told of an EntityManager', async () => {
    const em = Promise.resolve(database.orm.em.fork()) as never;
    await expectRefusal(() => serializer.decode(serializer.encode(1), { em }), 'E_INVALID_OPTION', undefined, /await/);
  });
});

test('an EntityManager where options go', async () => {
  const em = database.orm.em.fork();
  const user = await em.findOneOrFail(User, 1);
  const tasks = new Tasks(serializer, inlineEngine());
  const task = tasks.define('greet', async () => undefined);
  const message = /Invalid options: expected an object of .*\b(em|versions)\b.*, got an instance of \w*EntityManager/;
  const calls = [
    () => serializer.deserialize(serializer.serialize({ user }), em as never),
    () => serializer.locate(serializer.token(user), em as never),
    () => serializer.serialize({ user }, em as never),
    () => task.delay({ user }, em as never),
  ];
  for (const call of calls) await expectRefusal(call, 'E_INVALID_OPTION', undefined, message);
  await expectRefusal(() => serializer.serialize({ em }), 'E_UNSERIALIZABLE', '$.em', /EntityManager.*leave it out/);
  await tasks.stop();
});

test.each<[string, (serializer: never, second: never) => unknown, second: RegExp | undefined]>([
  ['Tasks', (own, engine) => new Tasks(own, engine), /engine: expected one, as pgBossEngine\(boss\)/],
  ['Locks', (own, provider) => new Locks(own, provider), /provider of Locks/],
  ['EntityCache', (own, bentocache) => new EntityCache(own, bentocache), /bentocache: expected a BentoCache/],
  ['Outbox', (own) => new Outbox(own), undefined],
])('%s: something else than a serializer, and than what goes with it', async (_, make, second) => {
  for (const other of [undefined, null, {}, database.orm, inlineEngine()])
    await expectRefusal(
      () => make(other as never, undefined as never),
      'E_INVALID_OPTION',
      undefined,
      /an EntitySerializer/,
    );
  if (second === undefined) return;
  for (const other of [undefined, null, {}, serializer])
    await expectRefusal(() => make(serializer as never, other as never), 'E_INVALID_OPTION', undefined, second);
});

test('what is for another method says for which', async () => {
  const em = database.orm.em.fork();
  const user = await em.findOneOrFail(User, 1);
  const [envelope, plain] = [serializer.encode({ user }), JSON.stringify({ user })];
  const refused = (read: () => unknown, message: RegExp) => expectRefusal(read, 'E_MALFORMED', '$', message);
  await refused(() => serializer.deserialize(envelope as never, { em }), /decode\(\)/);
  await refused(() => serializer.decode(JSON.stringify(envelope), { em }), /envelope.*text is for deserialize\(\)/);
  await refused(() => serializer.deserialize(plain, { em }), /envelope.*plain JSON\.stringify.*revive\(\)/);
  await refused(() => serializer.revive(envelope, { em, only: [User] }), /decode\(\)/);
  const text = serializer.token(user).toString();
  await refused(() => serializer.deserialize(text, { em }), /token is for locate\(\).*sign\(\) for verify\(\)/);
});

test('an invalid Date', async () => {
  const message = /invalid Date at \$\.due could not come back; pass a date that there is, or null/;
  await expectRefusal(() => serializer.serialize({ due: new Date('x') }), 'E_UNSERIALIZABLE', '$.due', message);
});

describe('a virtual entity', () => {
  const found = async (): Promise<Headcount> => (await database.orm.em.fork().find(Headcount, {}))[0]!;

  test('has no row, so that its data is to be passed', async () => {
    const headcount = await found();
    const message = /Headcount at \$\.of.*virtual entity.*pass its data as a plain object/;
    await expectRefusal(() => serializer.serialize({ of: headcount }), 'E_UNSERIALIZABLE', '$.of', message);
    await expectRefusal(() => serializer.serialize({ of: byValue(headcount) }), 'E_UNSERIALIZABLE', '$.of', message);
    await expectRefusal(() => serializer.token(headcount), 'E_UNSERIALIZABLE', '$', /virtual entity/);
    expect(serializer.serialize({ ...headcount })).toBe('{"$byref":1,"data":{"heads":1}}');
  });

  test('can be named nowhere', async () => {
    const em = database.orm.em.fork();
    const message = /option only: expected classes of this ORM that have rows of their own.*got Headcount/;
    await expectRefusal(
      () => serializer.decode(serializer.encode(1), { em, only: [Headcount] }),
      'E_INVALID_OPTION',
      undefined,
      message,
    );
  });

  test('can not be marked, and is no token in JSON where its base class is', async () => {
    class Marked {}
    ByReference()(Marked);
    class Counted extends Marked {
      declare heads: number;
    }
    const virtual = (cls: abstract new () => object): EntitySchema =>
      new EntitySchema({
        class: cls,
        expression: 'select 1 as heads',
        properties: { heads: { type: 'number' } },
      } as never);
    const message = /@ByReference on Marked: expected an entity with rows of its own, not a virtual entity/;
    await expectRefusal(
      () => new EntitySerializer(offlineOrm([...domain, virtual(Marked)])),
      'E_INVALID_OPTION',
      undefined,
      message,
    );
    const own = await openDatabase([...domain, virtual(Counted)]);
    const [counted] = await own.orm.em.fork().find(Counted, {});
    expect(JSON.stringify(counted)).toBe('{"heads":1}');
    await own.close();
  });
});

describe('an EntityManager that is not there', () => {
  const users = { $byref: 1, data: { $entity: ['User', 1] } };

  test('outside a request: pass a fork, or open a context', async () => {
    const message = /no EntityManager to read with.*global EntityManager.*\{ em: orm\.em\.fork\(\) \}.*RequestContext/;
    await expectRefusal(() => serializer.decode(users), 'E_INVALID_OPTION', undefined, message);
    const error = await failureOf(() => serializer.decode(users));
    expect((error.cause as Error).message).toContain('Using global EntityManager');
    await RequestContext.create(database.orm.em, async () => {
      expect(await serializer.decode(users)).toBeInstanceOf(User);
    });
  });

  test('the global one: pass a fork of it', async () => {
    const message = /but the global one.*pass a fork of it, \{ em: orm\.em\.fork\(\) \}/;
    const em = database.orm.em;
    await expectRefusal(() => serializer.decode(users, { em }), 'E_INVALID_OPTION', undefined, message);
  });

  test('one for two ORMs: pass one of each', async () => {
    const both = new EntitySerializer([database.orm, billing.orm]);
    const payload = { $byref: 1, data: [{ $entity: ['User', 1] }, { $entity: ['Bill', 1] }] };
    const em = database.orm.em.fork();
    const message =
      /no EntityManager of the ORM "billing", whose rows are asked for.*\{ em: \[orm\.em\.fork\(\), other/;
    await expectRefusal(() => both.decode(payload, { em }), 'E_INVALID_OPTION', undefined, message);
    await RequestContext.create(database.orm.em, () =>
      expectRefusal(() => both.decode(payload), 'E_INVALID_OPTION', undefined, message),
    );
    expect(await both.decode(payload, { em: [em, billing.orm.em.fork()] })).toHaveLength(2);
  });

  test('the failure of an application that finds its own context passes through', async () => {
    const orm = offlineOrm(domain);
    orm.config.set('context', () => {
      throw new TypeError('no tenant');
    });
    await expect(new EntitySerializer(orm).decode(users)).rejects.toThrow(new TypeError('no tenant'));
  });

  test('that of another MikroORM, and two of one', async () => {
    const foreign =
      /option em: expected an EntityManager of the MikroORM that the serializer was built for, "default".*got "billing"/;
    const em = billing.orm.em.fork();
    await expectRefusal(() => serializer.decode(users, { em }), 'E_INVALID_OPTION', undefined, foreign);
    const two = [database.orm.em.fork(), database.orm.em.fork()];
    const twice = /at most one EntityManager for each ORM, got "two of default"/;
    await expectRefusal(() => serializer.decode(users, { em: two }), 'E_INVALID_OPTION', undefined, twice);
  });
});

if (has('references by another key than the primary one')) {
  test('a reference by targetKey, whose primary key is not known: load it first', async () => {
    class Author {
      declare id: number;
      declare email: string;
    }
    class Book {
      declare id: number;
      declare author: Author;
    }
    const id = { type: 'number', primary: true } as const;
    const AuthorSchema = new EntitySchema<Author>({
      class: Author,
      properties: { id, email: { type: 'string', unique: true } },
    });
    const BookSchema = new EntitySchema<Book>({
      class: Book,
      properties: { id, author: { kind: 'm:1', entity: () => Author, targetKey: 'email' } as never },
    });
    ByReference()(Author);
    const own = await openDatabase([AuthorSchema, BookSchema]);
    const written = own.orm.em.fork();
    written.create(Book, { id: 1, author: written.create(Author, { id: 7, email: 'ann@example' }) });
    await written.flush();
    const em = own.orm.em.fork();
    const { author } = await em.findOneOrFail(Book, 1);
    const books = new EntitySerializer(own.orm);
    const message = /reference to Author, whose primary key is not known.*load it first/;
    await expectRefusal(() => books.serialize({ author }), 'E_UNSERIALIZABLE', '$.author', message);
    await expectRefusal(() => JSON.stringify(author), 'E_UNSERIALIZABLE', undefined, message);
    const populated = await own.orm.em.fork().findOneOrFail(Book, 1, { populate: ['author'] as never });
    expect(books.token(populated.author).primaryKey).toBe(7);
    const removed = await em.findOneOrFail(Author, 7);
    await em.nativeDelete(Book, {});
    await em.remove(removed).flush();
    expect((await failureOf(() => books.serialize(removed))).code).toBe('E_REMOVED');
    await own.close();
  });
}

describe('a version property whose type reflect-metadata does not see', () => {
  @Entity()
  class Unmarked {
    @PrimaryKey({ type: 'integer' })
    id!: number;
    @Property({ version: true })
    version!: Opt<number>;
  }
  @Entity()
  @ByReference()
  class Marked {
    @PrimaryKey({ type: 'integer' })
    id!: number;
    @Property({ version: true })
    version!: Opt<number>;
  }
  const ormOf = async (cls: object) => {
    const { ReflectMetadataProvider } = (
      isMikroOrm6 ? await import('@mikro-orm/core') : await import('@mikro-orm/decorators/legacy')
    ) as { ReflectMetadataProvider: unknown };
    const { makeOrm } = await import('../../fixtures/majors.ts');
    return makeOrm({ entities: [cls], dbName: 'nowhere', metadataProvider: ReflectMetadataProvider } as never);
  };
  const mend = /Marked\.version.*an integer or a date, outright.*@Property\(\{ type: 'integer' \}\)/;

  test('of a marked class: names the property, and how it is to be declared', async () => {
    const orm = await ormOf(Marked);
    await expectRefusal(() => new EntitySerializer(orm), 'E_INVALID_OPTION', undefined, mend);
  });

  test('of a class that is not: it has no versions, and says so where one is required', async () => {
    const orm = await ormOf(Unmarked);
    const own = new EntitySerializer(orm, { versions: true });
    const entity = orm.em.fork().map(Unmarked, { id: 1, version: 3 } as never);
    expect(own.serialize(entity)).toBe('{"$byref":1,"data":{"$entity":["Unmarked",1]}}');
    const message = /Unmarked at \$ has no version.*declare the version property Unmarked\.version as an integer/;
    await expectRefusal(() => own.serialize(entity, { versions: 'required' }), 'E_UNSERIALIZABLE', '$', message);
  });
});

test('an ORM without identity maps', async () => {
  const orm = offlineOrm(domain);
  orm.config.set('disableIdentityMap', true);
  const message = /disableIdentityMap in the configuration of the ORM.*expected false/;
  await expectRefusal(() => new EntitySerializer(orm), 'E_INVALID_OPTION', undefined, message);
});

test.each([
  ['Map', 'groupBy'],
  ['Promise', 'withResolvers'],
] as const)('a Node without %s.%s', async (constructor, method) => {
  const own = globalThis[constructor] as unknown as Record<string, unknown>;
  const original = own[method];
  try {
    own[method] = undefined;
    await expectRefusal(
      () => new EntitySerializer(database.orm),
      'E_UNSUPPORTED',
      undefined,
      /Node v\d+\.\d+\.\d+ is not supported here; take Node 22\.17/,
    );
  } finally {
    own[method] = original;
  }
});

describe("versions: 'required'", () => {
  test('refuses what has no known version, where true leaves it out', async () => {
    const em = database.orm.em.fork();
    const post = await em.findOneOrFail(Post, 1);
    const partial = await database.orm.em.fork().findOneOrFail(User, 1, { fields: ['email'] });
    const whole = await database.orm.em.fork().findOneOrFail(User, 1);
    for (const value of [post.author, partial]) {
      expect(serializer.encode({ value }, { versions: true })['data']).toEqual({ value: { $entity: ['User', 1] } });
      const message = /User at \$\.value has no version for its token.*load it first/;
      const required = { versions: 'required' } as const;
      await expectRefusal(() => serializer.encode({ value }, required), 'E_UNSERIALIZABLE', '$.value', message);
      await expectRefusal(() => serializer.token(value as object, required), 'E_UNSERIALIZABLE', '$', /load it/);
    }
    expect(serializer.token(whole, { versions: 'required' }).version).toBe(1);
    await em.findOneOrFail(User, 1);
    expect(serializer.token(post.author as object, { versions: 'required' })).toEqual(
      new EntityToken('User', 1, { version: 1 }),
    );
  });

  test('refuses a model without a version property, also as the default of a serializer', async () => {
    const strict = new EntitySerializer(billing.orm, { versions: 'required' });
    const bill = await billing.orm.em.fork().findOneOrFail(Bill, 1);
    const message =
      /Bill at \$ has no version.*name the property that dates its rows with @ByReference\(\{ version \}\)/;
    await expectRefusal(() => strict.serialize(bill), 'E_UNSERIALIZABLE', '$', message);
    expect(strict.serialize(bill, { versions: false })).toContain('["Bill",1]');
    await expectRefusal(() => strict.serialize(new Bill()), 'E_UNPERSISTED', '$', /flush/);
  });
});
