import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { defineEntity, p, wrap } from '@mikro-orm/core';
import { byValue, EntitySerializer } from 'mikro-orm-byref';
import { domain, Post, Tag, User } from '../../fixtures/domain.ts';
import { baseOf } from '../../fixtures/majors.ts';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { has } from '../support/driver.ts';
import { failureOf } from '../support/failure.ts';

const GeoSchema = defineEntity({
  name: 'Geo',
  embeddable: true,
  properties: { lat: p.float(), secret: p.string().hidden() },
});
class Geo extends baseOf(GeoSchema) {
  isNorth(): boolean {
    return this.lat > 0;
  }
}
GeoSchema.setClass(Geo);

const StreetSchema = defineEntity({
  name: 'Street',
  embeddable: true,
  properties: { line: p.string(), geo: () => p.embedded(Geo) },
});
class Street extends baseOf(StreetSchema) {}
StreetSchema.setClass(Street);

const ShopSchema = defineEntity({
  name: 'Shop',
  properties: {
    id: p.integer().primary(),
    street: () => p.embedded(Street),
    branches: () => p.embedded(Street).array(),
    opened: p.datetime(),
    turnover: p.bigint(),
    options: p.json<{ open: boolean }>(),
    notes: p.text().lazy().ref().nullable(),
    owner: () => p.manyToOne(User).ref().nullable(),
    partner: () => p.manyToOne(User).nullable(),
    loud: p.string().persist(false).nullable(),
  },
});
class Shop extends baseOf(ShopSchema) {
  title(): string {
    return `Shop ${this.id}, ${this.street.line}`;
  }
}
ShopSchema.setClass(Shop);

const turnover = has('exactNumbers') ? 9_007_199_254_740_993n : 9_007_199_254_740_991n;
let database: TestOrm;
let serializer: EntitySerializer;

beforeAll(async () => {
  database = await openDatabase([...domain, Geo, Street, Shop]);
  serializer = new EntitySerializer(database.orm);
  const em = database.orm.em.fork();
  const ann = em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org', secret: 'swordfish' });
  const post = em.create(Post, { id: 1, title: 'Hello', body: 'old', author: ann });
  post.tags.add(em.create(Tag, { id: 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', label: 'news' }));
  const street = { line: 'Old Road 1', geo: { lat: 50, secret: 'x' } };
  em.create(Shop, {
    id: 1,
    street,
    branches: [street],
    opened: new Date(0),
    turnover,
    options: { open: true },
    notes: 'long',
    owner: ann,
    partner: null,
  });
  await em.flush();
});
afterAll(() => database.close());
beforeEach(() => {
  database.statements.length = 0;
});

describe('a copy by value', () => {
  test('holds what the entity was, while a reference beside it is the row of now', async () => {
    const em = database.orm.em.fork();
    const shop = await em.findOneOrFail(Shop, 1);
    const payload = serializer.serialize({ before: byValue(shop), now: shop });
    shop.street.line = 'New Road 2';
    await em.flush();

    const back = await serializer.deserialize(payload, { em: database.orm.em.fork() });
    expect([back.before.street.line, back.now.street.line]).toEqual(['Old Road 1', 'New Road 2']);
    expect(back.before).toBeInstanceOf(Shop);
    expect(back.before.title()).toBe('Shop 1, Old Road 1');
    expect(back.before.street.geo).toBeInstanceOf(Geo);
    expect(back.before.street.geo.isNorth()).toBe(true);
    expect(back.before.branches[0]!.geo.isNorth()).toBe(true);
    expect([back.before.opened, back.before.turnover, back.before.options, back.before.partner]).toEqual([
      new Date(0),
      turnover,
      { open: true },
      null,
    ]);
    shop.street.line = 'Old Road 1';
    await em.flush();
  });

  test('is on the wire as pinned: no hidden property, relations as tokens', async () => {
    const shop = await database.orm.em.fork().findOneOrFail(Shop, 1);
    const street = { line: 'Old Road 1', geo: { lat: 50 } };
    expect(serializer.encode(byValue(shop))).toEqual({
      $byref: 1,
      data: {
        $snapshot: [
          'Shop',
          {
            id: 1,
            street,
            branches: [street],
            opened: { $date: '1970-01-01T00:00:00.000Z' },
            turnover: { $bigint: String(turnover) },
            options: { open: true },
            owner: { $entity: ['User', 1] },
            partner: null,
          },
        ],
      },
    });
    const user = await database.orm.em.fork().findOneOrFail(User, 1);
    expect(JSON.stringify(serializer.encode(byValue(user)))).not.toMatch(/swordfish|secret|posts/);
  });

  test('carries what is loaded: collections as lists of tokens, lazy properties', async () => {
    const em = database.orm.em.fork();
    const post = await em.findOneOrFail(Post, 1, { populate: ['tags'] });
    const shop = await em.findOneOrFail(Shop, 1, { populate: ['notes'] });
    const back = await serializer.deserialize(serializer.serialize([byValue(post), byValue(shop)] as const), {
      em: database.orm.em.fork(),
    });
    expect(back[0].tags.getItems().map(({ label }) => label)).toEqual(['news']);
    expect(back[0].comments.isInitialized()).toBe(false);
    expect(back[0].author.unwrap().name).toBe('Ann');
    expect(back[1].notes!.unwrap()).toBe('long');
  });

  test('takes unflushed changes along, and an entity that has no row', async () => {
    const em = database.orm.em.fork();
    const user = await em.findOneOrFail(User, 1);
    user.name = 'Unflushed';
    const fresh = em.create(User, { id: 99, name: 'New', email: 'n@example.org' }, { persist: false });
    const back = await serializer.deserialize(serializer.serialize({ user: byValue(user), fresh: byValue(fresh) }));
    expect([back.user.name, back.fresh.name]).toEqual(['Unflushed', 'New']);
    expect(database.statements.filter((sql) => !sql.startsWith('select'))).toEqual([]);
  });

  test('a Ref is its entity; what is not loaded, and what is no entity, is refused', async () => {
    const em = database.orm.em.fork();
    const post = await em.findOneOrFail(Post, 1);
    const error = await failureOf(() => serializer.serialize({ author: byValue(post.author) }));
    expect([error.code, error.path]).toEqual(['E_UNSERIALIZABLE', '$.author']);
    await post.author.load();
    const back = await serializer.deserialize(serializer.serialize({ author: byValue(post.author) }));
    expect(back.author.name).toBe('Ann');
    expect((await failureOf(() => byValue({}))).code).toBe('E_UNSERIALIZABLE');
  });

  test('an embedded object that was assigned as plain data', async () => {
    const shop = await database.orm.em.fork().findOneOrFail(Shop, 1);
    shop.street = { line: 'Plain 1', geo: { lat: 1, secret: 'x' } } as never;
    const back = await serializer.deserialize(serializer.serialize(byValue(shop)), { em: database.orm.em.fork() });
    expect([back.street.line, back.street.geo.isNorth()]).toEqual(['Plain 1', true]);
    expect(JSON.stringify(serializer.encode(byValue(shop)))).not.toContain('secret');
  });

  test('a row of its collection that is gone is no item of it', async () => {
    const gone = { $entity: ['Tag', 'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'] };
    const tag = { $entity: ['Tag', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'] };
    const payload = { $byref: 1, data: { $snapshot: ['Post', { id: 1, tags: [gone, tag] }] } };
    for (const missing of ['null', 'omit'] as const) {
      const em = database.orm.em.fork();
      const back = (await serializer.decode(payload as never, { em, missing })) as Post;
      expect(back.tags.getItems().map(({ label }) => label)).toEqual(['news']);
    }
  });

  test('revives without a query of its own', async () => {
    const user = await database.orm.em.fork().findOneOrFail(User, 1);
    const payload = serializer.serialize(byValue(user));
    database.statements.length = 0;
    expect((await serializer.deserialize(payload)).email).toBe('ann@example.org');
    expect(database.statements).toEqual([]);
  });
});

describe('a detached instance', () => {
  test('is written by no flush, whatever is done to it', async () => {
    const producer = database.orm.em.fork();
    const post = await producer.findOneOrFail(Post, 1, { populate: ['tags', 'comments'] });
    const payload = serializer.serialize({ copy: byValue(post), author: post.author });
    const em = database.orm.em.fork();
    const managed = await em.findOneOrFail(User, 1, { populate: ['posts'] });
    const { copy } = await serializer.deserialize(payload, { em });
    expect(copy.author.unwrap()).toBe(managed);
    copy.title = 'changed';
    expect(() => copy.tags.removeAll()).toThrow(/readonly/);
    expect(() => copy.comments.add([])).toThrow(/readonly/);
    database.statements.length = 0;
    await em.flush();
    expect(database.statements).toEqual([]);
    expect(managed.posts.getItems()).toHaveLength(1);
    expect(managed.posts.getItems()).not.toContain(copy);
    expect((await database.orm.em.fork().findOneOrFail(Post, 1)).title).toBe('Hello');
  });

  test('travels on by value, and prints as a copy', async () => {
    const user = await database.orm.em.fork().findOneOrFail(User, 1);
    const copy = await serializer.deserialize(serializer.serialize(byValue(user)));
    const again = await serializer.deserialize(serializer.serialize({ copy }));
    expect(again.copy).toBeInstanceOf(User);
    expect(wrap(again.copy).toObject()).toEqual(wrap(copy).toObject());
    expect(JSON.parse(JSON.stringify(copy))).toMatchObject({ id: 1, name: 'Ann' });
    expect(JSON.stringify(copy)).not.toContain('secret');
    expect(wrap(copy).toObject()).toMatchObject({ email: 'ann@example.org' });
    expect((await failureOf(() => serializer.token(copy))).code).toBe('E_UNPERSISTED');
    expect(serializer.clone({ copy }).copy).toBe(copy);
  });

  test('has no property that the class does not, and none that is hidden', async () => {
    const data = {
      $snapshot: ['User', { id: 1, name: 'Eve', secret: 'forged', gone: 1, toString: 'x', constructor: 1 }],
    };
    const back = (await serializer.decode({ $byref: 1, data })) as User;
    expect(Object.keys(back).filter((key) => key !== 'posts')).toEqual(['id', 'name']);
    expect(back).toBeInstanceOf(User);
    expect(String(back)).toBe('[object Object]');
  });
});

describe('a copy from a stranger', () => {
  const snapshot = (...body: unknown[]): unknown => ({ $snapshot: body });
  const user = { $entity: ['User', 1] };

  test.each<[string, unknown, string]>([
    ['no list', { $snapshot: 'User' }, 'E_MALFORMED'],
    ['no data', snapshot('User'), 'E_MALFORMED'],
    ['a number as name', snapshot(1, {}), 'E_MALFORMED'],
    ['an unknown model', snapshot('Nobody', {}), 'E_UNKNOWN_MODEL'],
    ['a name of Object.prototype', snapshot('constructor', {}), 'E_UNKNOWN_MODEL'],
    ['a value object as data', snapshot('User', { $value: ['User', {}] }), 'E_UNKNOWN_VALUE'],
    ['data that is an array', snapshot('User', []), 'E_MALFORMED'],
    ['data that is null', snapshot('User', null), 'E_MALFORMED'],
    ['data that is a Map', snapshot('User', { $map: [] }), 'E_MALFORMED'],
    ['data that is an entity', snapshot('User', user), 'E_MALFORMED'],
  ])('%s is refused before any query', async (_name, data, code) => {
    const error = await failureOf(() => serializer.decode({ $byref: 1, data: [user, data] } as never));
    expect([error.code, error.path]).toEqual([code, expect.stringMatching(/^\$\[1\]/)]);
    expect(database.statements).toEqual([]);
  });

  test.each<[string, unknown]>([
    ['a scalar as relation', snapshot('Post', { author: 1 })],
    ['an object as relation', snapshot('Post', { author: { id: 1 } })],
    ['an entity of another class as relation', snapshot('Comment', { post: user })],
    ['a copy as relation', snapshot('Post', { author: snapshot('User', { id: 1 }) })],
    ['a collection that is no list', snapshot('User', { posts: 'all' })],
    ['a collection of another class', snapshot('User', { posts: [user] })],
    ['an embedded object that is none', snapshot('Shop', { street: 'Main' })],
    ['a list of embedded objects that is none', snapshot('Shop', { branches: {} })],
  ])('%s is malformed', async (_name, data) => {
    const em = database.orm.em.fork();
    const error = await failureOf(() => serializer.decode({ $byref: 1, data: { a: data } } as never, { em }));
    expect([error.code, error.path]).toEqual(['E_MALFORMED', expect.stringMatching(/^\$\.a/)]);
    expect(selects(database.statements).length).toBeLessThanOrEqual(1);
    expect(({} as Record<string, unknown>)['author']).toBeUndefined();
  });

  test('`only` holds for copies too', async () => {
    const data = [snapshot('User', { id: 1 })];
    const error = await failureOf(() => serializer.decode({ $byref: 1, data } as never, { only: [Post] }));
    expect([error.code, error.path]).toEqual(['E_MODEL_NOT_ALLOWED', '$[0]']);
  });
});
