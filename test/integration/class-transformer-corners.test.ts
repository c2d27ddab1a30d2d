/** What class-transformer on its own loses, leaks or lets through. */
import 'reflect-metadata';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { EntitySchema } from '@mikro-orm/core';
import { Exclude, Expose, Transform, Type } from 'class-transformer';
import { ByReference, byValue, type DeserializeOptions, EntitySerializer, EntityToken } from 'mikro-orm-byref';
import { ByValue, defineDto, field } from 'mikro-orm-byref/class-transformer';
import { domain, Post, User } from '../../fixtures/domain.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { Line, Money } from '../../fixtures/value-objects.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';

/** An entity of a project that has class-transformer for its REST responses. */
class Person {
  @Expose()
  id!: number;
  @Expose()
  name!: string;
  @Exclude()
  password!: string;
}
const PersonSchema = new EntitySchema<Person>({
  class: Person,
  properties: {
    id: { type: 'number', primary: true },
    name: { type: 'string' },
    password: { type: 'string', hidden: true },
  },
});

let database: TestOrm;
const fork = (): TestOrm['orm']['em'] => database.orm.em.fork() as never;
const serializerOf = (...values: (new () => object)[]): EntitySerializer =>
  new EntitySerializer(database.orm, { values: [...values, Money] });

/** There and back through text. */
async function trip<T extends object>(cls: new () => T, properties: Partial<T>, ...others: (new () => object)[]) {
  const serializer = serializerOf(cls, ...others);
  const payload = serializer.serialize(Object.assign(new cls(), properties));
  return (await serializer.deserialize(payload, { em: fork() })) as T;
}
const decode = <T extends object>(as: new () => T, data: unknown, options = {}): Promise<T> =>
  serializerOf().decode({ $byref: 1, data } as never, { as, em: fork(), ...options });

beforeAll(async () => {
  database = await openDatabase([...domain, PersonSchema]);
  const em = fork();
  const ann = em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org' });
  em.create(Post, { id: 1, title: 'Hello', body: '', author: ann });
  em.create(Person, { id: 1, name: 'Bob', password: 'topsecret' });
  await em.flush();
});
afterAll(() => database.close());
beforeEach(() => {
  database.statements.length = 0;
});

describe('entities in value objects are tokens', () => {
  @ByValue('Bill')
  class Bill {
    @Type(() => Person)
    payer!: Person;
  }
  @ByValue('Holder')
  class Holder {
    @Expose()
    who: unknown;
  }
  @ByValue('Passing')
  class Passing {
    @Expose()
    @Transform(({ value }: { value: unknown }) => value)
    held: unknown;
  }
  @ByValue('ById')
  class ById {
    @Expose({ name: 'payerId' })
    @Transform(({ value }: { value: Person }) => value.id, { toPlainOnly: true })
    @Transform(({ value }: { value: number }) => `person ${value}`, { toClassOnly: true })
    payer: unknown;
  }
  const bob = (): Promise<Person> => fork().findOneOrFail(Person, 1);

  test('under @Type, although the entity has class-transformer’s decorators', async () => {
    const encoded = serializerOf(Bill).encode(Object.assign(new Bill(), { payer: await bob() }));
    expect(encoded['data']).toEqual({ $value: ['Bill', { payer: { $entity: ['Person', 1] } }] });
    expect((await trip(Bill, { payer: await bob() })).payer.password).toBe('topsecret');
  });

  test('under @Transform, however deep', async () => {
    const who = await bob();
    const values = [who, [who], { who }, new Map([[who, who]]), Object.assign(new Holder(), { who }), byValue(who)];
    for (const held of values) {
      const text: string = serializerOf(Passing, Holder).serialize(Object.assign(new Passing(), { held }));
      expect(text).not.toContain('topsecret');
      expect(text).toMatch(/\$entity|\$snapshot/);
    }
  });

  test('unless the @Transform makes something else of them', async () => {
    const back = await trip(ById, { payer: await bob() });
    expect(back.payer).toBe('person 1');
  });
});

describe('nothing is lost', () => {
  @ByValue('Any')
  class Any {
    @Expose()
    @Transform(({ value }: { value: unknown }) => value)
    passed: unknown = 'initial';
    @Expose()
    plain: unknown = 'initial';
  }
  const line = Line.of('work', Money.of('1'));

  test.each<[string, unknown]>([
    ['a Map', new Map([['a', new Map([[1, 2]])]])],
    ['a Set', new Set([1])],
    ['bytes', Uint8Array.of(1, 2)],
    ['a URL', new URL('https://example.org/')],
    ['a token', new EntityToken('User', 1)],
    ['a bigint', 1n],
    ['undefined', undefined],
    ['null', null],
    ['a date', new Date(5)],
    ['nested lists', [[1, [2]], []]],
  ])('%s, with a @Transform and without', async (_name, value) => {
    const back = await trip(Any, { passed: value, plain: value });
    expect([back.passed, back.plain]).toEqual([value, value]);
  });

  test('a value object under @Transform', async () => {
    expect((await trip(Any, { passed: Money.of('5') })).passed).toBeInstanceOf(Money);
  });

  test('array holes are undefined, as everywhere', async () => {
    // oxlint-disable-next-line no-sparse-arrays
    expect((await trip(Any, { plain: [1, , 3] })).plain).toEqual([1, undefined, 3]);
  });

  test('a subclass of Array is refused', async () => {
    class TagList extends Array<string> {}
    const error = await failureOf(() => trip(Any, { plain: TagList.from(['a']) }));
    expect([error.code, error.message]).toEqual(['E_UNSERIALIZABLE', expect.stringContaining('TagList')]);
  });

  test('properties with groups, under a class-level @Exclude, and in records, lists of lists and Maps', async () => {
    @ByValue('Mixed')
    @Exclude()
    class Mixed {
      @Expose({ groups: ['admin'] })
      grouped = 'initial';
      @Type(() => Number)
      typed = 1;
      @Type(() => Money)
      record: Record<string, Money> = {};
      @Type(() => Line)
      grid: Line[][] = [];
      @Type(() => Line)
      byName = new Map<string, Line[]>();
      dropped = 'on purpose';
    }
    const back = await trip(Mixed, {
      grouped: 'data',
      typed: 5,
      record: { jan: Money.of('7') },
      grid: [[line]],
      byName: new Map([['a', [line]]]),
      dropped: 'x',
    });
    expect([back.grouped, back.typed, String(back.record['jan']), back.dropped]).toEqual([
      'data',
      5,
      '7 CZK',
      'on purpose',
    ]);
    expect([back.grid[0]![0], back.byName.get('a')![0]]).toEqual([line, line]);
    expect(back.grid[0]![0]).toBeInstanceOf(Line);
  });

  test('a discriminator may be kept, and may start with $', async () => {
    @ByValue('Keeper')
    class Keeper {
      @Type(() => Object, {
        keepDiscriminatorProperty: true,
        discriminator: { property: '$type', subTypes: [{ name: 'line', value: Line }] },
      })
      item: unknown;
    }
    const { item } = await trip(Keeper, { item: line });
    expect(item).toBeInstanceOf(Line);
    expect((item as { $type: string }).$type).toBe('line');
  });

  test('a type function is told of the holder', async () => {
    class Card {
      @Expose()
      no = '';
    }
    class Cash {
      @Expose()
      cents = 0;
    }
    class Pay {
      @Expose()
      kind = 'card';
      @Type((options) => (options!.object['kind'] === 'card' ? Card : Cash))
      by: unknown;
    }
    ByValue('Pay')(Pay);
    expect((await trip(Pay, { by: Object.assign(new Card(), { no: '4111' }) })).by).toBeInstanceOf(Card);
    expect((await decode(Pay, { kind: 'cash', by: { cents: 5 } })).by).toEqual({ cents: 5 });
    expect((await failureOf(() => decode(Pay, { kind: 'cash', by: { no: '4111' } }))).path).toBe('$.by.no');
  });
});

describe('what would be unreadable is not written', () => {
  test('a declared reference that is null, undefined, or of another class', async () => {
    @ByValue('Note')
    class Note {
      @ByReference(() => Post)
      post: unknown = null;
    }
    for (const post of [null, undefined, fork().getReference(User, 1), 'x', [fork().getReference(Post, 1)]]) {
      expect((await failureOf(() => trip(Note, { post }))).code).toBe('E_UNSERIALIZABLE');
    }
    expect((await trip(Note, { post: fork().getReference(Post, 1) })).post).toBeInstanceOf(Post);
  });

  test('two properties of one key', async () => {
    @ByValue('Clash')
    class Clash {
      @Expose({ name: 'b' })
      a = 1;
      @Expose()
      b = 2;
    }
    expect((await failureOf(() => trip(Clash, {}))).message).toContain('Clash.a and Clash.b');
  });

  test('a plain object where a class is declared, and a discriminator that contradicts its class', async () => {
    class Tagged {
      @Expose()
      kind = 'other';
    }
    @ByValue('Box')
    class Box {
      @Type(() => Line)
      line: unknown;
      @Type(() => Object, { discriminator: { property: 'kind', subTypes: [{ name: 'tagged', value: Tagged }] } })
      tagged: unknown;
    }
    expect((await failureOf(() => trip(Box, { line: { label: 'a', extra: 1 } }))).message).toContain('plain object');
    expect((await failureOf(() => trip(Box, { tagged: new Tagged() }))).message).toContain('says other');
  });
});

describe('a DTO lets nothing through', () => {
  class Inner {
    @Expose()
    x!: number;
  }
  class Outer {
    @Type(() => Inner)
    inner!: Inner;
    @Type(() => Inner)
    list: Inner[] = [];
    @Expose({ groups: ['admin'] })
    role?: unknown = 'guest';
    @Exclude()
    @Type(() => Object)
    admin?: unknown = false;
  }
  const inner = { x: 1 };

  test.each<[string, unknown, string]>([
    ['a copy for a nested DTO', { inner: { $snapshot: ['User', { email: 'evil' }] } }, '$.inner'],
    ['a value object for a nested DTO', { inner: { $value: ['Money', { amount: '1' }] } }, '$.inner'],
    ['null for a nested DTO', { inner: null }, '$.inner'],
    ['undefined for a required one', { inner: { $undefined: true } }, '$.inner'],
    ['a list for one', { inner: [inner] }, '$.inner'],
    ['one for a list', { inner, list: inner }, '$.list'],
    ['a scalar for a list', { inner, list: 1 }, '$.list'],
    ['a Map for a list', { inner, list: { $map: [['a', inner]] } }, '$.list'],
    ['a Set for a list', { inner, list: { $set: [inner] } }, '$.list'],
    ['an excluded property', { inner, admin: true }, '$.admin'],
    ['an excluded property that is an object', { inner, admin: { $set: [1] } }, '$.admin'],
    ['a property with groups', { inner, role: ['root', {}] }, '$.role'],
  ])('%s', async (_name, data, path) => {
    const error = await failureOf(() => decode(Outer, data));
    expect([error.code, error.path]).toEqual(['E_MALFORMED', path]);
    expect(database.statements).toEqual([]);
  });

  const undeclared: [string, unknown][] = [
    ['an entity', { $entity: ['User', 1] }],
    ['a copy', { $snapshot: ['User', { id: 1 }] }],
    ['an entity in a copy', { $snapshot: ['Post', { id: 1, author: { $entity: ['User', 1] } }] }],
    ['a value object', { $value: ['Money', { amount: '1' }] }],
    ['a token', { $token: ['User', 1] }],
  ];
  const places: [string, (named: unknown) => unknown][] = [
    ['a field', (named) => named],
    ['an array', (named) => [1, [named]]],
    ['an object', (named) => ({ a: { b: named } })],
    ['an object with odd keys', (named) => ({ $object: [['__proto__', named]] })],
    ['a Set', (named) => ({ $set: [named] })],
    ['the values of a Map', (named) => ({ $map: [['a', named]] })],
    ['the keys of a Map', (named) => ({ $map: [[named, 1]] })],
  ];
  class Anything {
    @Expose()
    any?: unknown = null;
    @Type(() => Object)
    typed?: unknown = null;
    @Transform(({ value }: { value: unknown }) => value)
    @Type(() => Inner)
    transformed?: unknown = null;
    @Type(() => Money)
    price?: Money | null = null;
    @Type(() => Inner)
    @Expose()
    map = new Map<unknown, Inner>();
  }
  const holders: [string, (held: unknown) => unknown][] = [
    ['a plain property', (held) => ({ any: held })],
    ['a property of type Object', (held) => ({ typed: held })],
    ['a property with a transform', (held) => ({ transformed: held })],
    ['a value object’s property', (held) => ({ price: { $value: ['Money', { amount: '1', currency: held }] } })],
    ['a value object’s unknown key', (held) => ({ price: { $value: ['Money', { amount: '1', x: held }] } })],
  ];
  const cases = holders.flatMap(([holder, hold]) =>
    places.flatMap(([place, put]) =>
      undeclared.map(([what, named]) => [what, place, holder, hold(put(named))] as const),
    ),
  );

  test.each(cases)('%s in %s of %s, which declares none', async (_what, _place, _holder, data) => {
    const error = await failureOf(() => decode(Anything, data));
    expect(error.code).toBe('E_MALFORMED');
    expect(database.statements).toEqual([]);
  });

  test('an entity as a key of a Map whose values are declared', async () => {
    const map = { $map: [[{ $entity: ['User', 1] }, inner]] };
    expect((await failureOf(() => decode(Anything, { map }))).path).toBe("$.map['$map'][0][0]");
    expect((await decode(Anything, { map: { $map: [['a', inner]] } })).map.get('a')).toBeInstanceOf(Inner);
  });

  test('plain values stay where a property allows any: dates, bigints, Maps', async () => {
    const any = { at: { $date: '2026-01-01T00:00:00.000Z' }, n: { $bigint: '1' }, map: { $map: [[1, { $set: [2] }]] } };
    const expected = { at: new Date('2026-01-01'), n: 1n, map: new Map([[1, new Set([2])]]) };
    expect((await decode(Anything, { any })).any).toEqual(expected);
  });

  test('undefined does not undo what the constructor has made', async () => {
    const back = await decode(Anything, { any: { $undefined: true }, map: { $undefined: true } });
    expect([back.any, back.map]).toEqual([null, new Map()]);
  });

  test('a nested value object is that of the declared class', async () => {
    class Order {
      @Type(() => Money)
      price!: Money;
    }
    const price = { $value: ['Money', { amount: '1' }] };
    expect(String((await decode(Order, { price })).price)).toBe('1 CZK');
    for (const other of [{ amount: '1' }, 1, { $value: ['Other', {}] }, { $snapshot: ['User', {}] }]) {
      expect((await failureOf(() => decode(Order, { price: other }))).code).toMatch(/E_MALFORMED|E_UNKNOWN_VALUE/);
    }
  });

  test('null where field() says so', async () => {
    class Loose {
      @Type(() => Inner)
      inner!: Inner | null;
    }
    defineDto(Loose, { inner: field({ nullable: true }) });
    expect((await decode(Loose, { inner: null })).inner).toBeNull();
  });

  test('classes that can’t be checked are E_INVALID_OPTION', async () => {
    class Bare {
      x = 1;
    }
    class OfBare {
      @Type(() => Bare)
      bare!: Bare;
    }
    class Demanding {
      @Expose()
      x: number;
      constructor(options: { x: number }) {
        this.x = options.x;
      }
    }
    class OfDemanding {
      @Type(() => Demanding as never)
      inner!: Demanding;
    }
    for (const [cls, data] of [
      [OfBare, { bare: { x: 2, evil: 1 } }],
      [OfDemanding, { inner }],
    ] as const) {
      expect((await failureOf(() => decode(cls as new () => object, data))).code).toBe('E_INVALID_OPTION');
    }
  });

  test('a type function that fails is E_MALFORMED with its cause', async () => {
    class Fails {
      @Type((options) => (options!.object['deep'] as { er: { still: never } }).er.still)
      inner: unknown;
    }
    const error = await failureOf(() => decode(Fails, { inner }));
    expect([error.code, error.cause]).toEqual(['E_MALFORMED', expect.any(TypeError)]);
  });

  test('authorize is asked once per row, whatever the policies', async () => {
    class Twice {
      @ByReference(() => User)
      a!: User;
      @ByReference(() => User, { populate: ['posts'] })
      b!: User;
    }
    const user = { $entity: ['User', 1] };
    const asked: string[] = [];
    const authorize: DeserializeOptions['authorize'] = (_, token) => asked.push(token.model) > 0;
    const back = await decode(Twice, { a: user, b: user }, { authorize });
    // The post is a row that `populate` brings.
    expect([asked.sort(), back.a === back.b]).toEqual([['Post', 'User'], true]);
  });

  test('what defineDto adds later counts', async () => {
    class Late {
      @Expose()
      a!: number;
      b!: number;
    }
    expect((await failureOf(() => decode(Late, { a: 1, b: 2 }))).path).toBe('$.b');
    defineDto(Late, { b: field() });
    expect((await decode(Late, { a: 1, b: 2 })).b).toBe(2);
  });
});
