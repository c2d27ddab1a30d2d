import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { EntitySerializer, type ValueRegistry } from 'mikro-orm-byref';
import { domain, Post, User } from '../../fixtures/domain.ts';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';

class Money {
  readonly #cents: bigint;
  readonly currency: string;

  constructor(cents: bigint, currency: string) {
    this.#cents = cents;
    this.currency = currency;
  }

  get cents(): bigint {
    return this.#cents;
  }

  times(factor: number): Money {
    return new Money(this.#cents * BigInt(factor), this.currency);
  }
}

/** Holds everything that a value object may: another one, an entity, a Map and a date. */
class Offer {
  readonly price: Money;
  readonly customer: User | null;
  readonly discounts: Map<Post, Money>;
  readonly until: Date;

  constructor(price: Money, customer: User | null, discounts: Map<Post, Money>, until: Date) {
    this.price = price;
    this.customer = customer;
    this.discounts = discounts;
    this.until = until;
  }

  greeting(): string {
    return `Dear ${this.customer?.name ?? 'customer'}, ${this.price.currency} ${this.price.times(2).cents}`;
  }
}

class Lines extends Array<number> {
  sum(): number {
    return this.reduce((sum, line) => sum + line, 0);
  }
}

let database: TestOrm;
let serializer: EntitySerializer;

function register(values: ValueRegistry): void {
  values.register('Money', Money, {
    encode: ({ cents, currency }) => ({ cents, currency }),
    decode: ({ cents, currency }) => new Money(cents, currency),
  });
  values.register('Offer', Offer, {
    encode: ({ price, customer, discounts, until }) => ({ price, customer, discounts, until }),
    decode: ({ price, customer, discounts, until }) => new Offer(price, customer, discounts, until),
  });
  values.register('Lines', Lines, {
    encode: (lines) => Array.from(lines),
    decode: (lines) => Lines.from(lines) as Lines,
  });
}

beforeAll(async () => {
  database = await openDatabase(domain);
  serializer = new EntitySerializer(database.orm);
  register(serializer.values);
  const em = database.orm.em.fork();
  const user = em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org' });
  em.create(Post, { id: 1, title: 'Hello', body: '', author: user });
  await em.flush();
});
afterAll(() => database.close());
beforeEach(() => {
  database.statements.length = 0;
});

describe('a registered value object', () => {
  test('comes back working, its entities fresh, in one query per model', async () => {
    const em = database.orm.em.fork();
    const user = await em.findOneOrFail(User, 1);
    const post = await em.findOneOrFail(Post, 1);
    const offer = new Offer(new Money(150n, 'CZK'), user, new Map([[post, new Money(5n, 'CZK')]]), new Date(0));
    const payload = serializer.serialize({ offers: [offer, offer], lines: Lines.of(1, 2), user });
    await database.orm.em.fork().nativeUpdate(User, 1, { name: 'Ann Lee' });
    database.statements.length = 0;

    const back = await serializer.deserialize(payload, { em: database.orm.em.fork() });
    expect(selects(database.statements)).toHaveLength(2);
    const [first, second] = back.offers;
    expect(first).toBeInstanceOf(Offer);
    expect(first!.greeting()).toBe('Dear Ann Lee, CZK 300');
    expect(first!.customer).toBe(back.user);
    expect(second!.customer).toBe(back.user);
    expect(second).not.toBe(first);
    expect(first!.until).toEqual(new Date(0));
    const [[discounted, discount]] = [...first!.discounts] as [[Post, Money]];
    expect(discounted).toBeInstanceOf(Post);
    expect(discount.times(3).cents).toBe(15n);
    expect(back.lines).toBeInstanceOf(Lines);
    expect((back.lines as Lines).sum()).toBe(3);
  });

  test('may be a key of a Map, an item of a Set and the payload itself', async () => {
    const money = new Money(1n, 'EUR');
    const back = await serializer.deserialize(serializer.serialize(new Map([[money, new Set([money])]])));
    const [[key, items]] = [...back] as [[Money, Set<Money>]];
    expect([key.cents, [...items][0]!.currency]).toEqual([1n, 'EUR']);
    expect((await serializer.deserialize(serializer.serialize(money))).times(2).cents).toBe(2n);
    expect(serializer.clone({ money }).money.times(2).cents).toBe(2n);
    expect(serializer.dedupeKey(money)).toBe('{"$value":["Money",{"cents":{"$bigint":"1"},"currency":"EUR"}]}');
  });

  test('a missing row inside is what the option says', async () => {
    const gone = database.orm.em.fork().getReference(User, 404);
    const offer = new Offer(new Money(1n, 'EUR'), gone, new Map(), new Date(0));
    const payload = serializer.serialize([offer]);
    const em = database.orm.em.fork();
    expect((await failureOf(() => serializer.deserialize(payload, { em }))).path).toBe("$[0]['$value'][1].customer");
    const [back] = await serializer.deserialize(payload, { em, missing: 'null' });
    expect(back!.greeting()).toBe('Dear customer, EUR 2');
    const [omitted] = await serializer.deserialize(payload, { em, missing: 'omit' });
    expect(omitted!.customer).toBeUndefined();
  });

  test('keeps its place among the keys', async () => {
    const value = { a: 1, money: new Money(1n, 'EUR'), z: 2 };
    expect(Object.keys(await serializer.deserialize(serializer.serialize(value)))).toEqual(['a', 'money', 'z']);
  });
});

describe('what is not registered', () => {
  class Point {
    readonly x = 1;
  }
  class Fine extends Money {}

  test.each([
    ['an instance', new Point(), 'Point'],
    ['a subclass of a registered class', new Fine(1n, 'EUR'), 'Fine'],
  ])('%s is refused with the way out', async (_name, value, name) => {
    const error = await failureOf(() => serializer.serialize({ at: [value] }));
    expect([error.code, error.path]).toEqual(['E_UNSERIALIZABLE', '$.at[0]']);
    expect(error.message).toContain(`serializer.values.register("${name}", ${name}, { encode, decode })`);
  });

  test('an unknown name is E_UNKNOWN_VALUE before any query', async () => {
    const data = { user: { $entity: ['User', 1] }, at: [{ $value: ['Point', {}] }] };
    const error = await failureOf(() => serializer.decode({ $byref: 1, data }, { em: database.orm.em.fork() }));
    expect([error.code, error.path, error.retryable]).toEqual(['E_UNKNOWN_VALUE', '$.at[0]', false]);
    expect(database.statements).toEqual([]);
    const rolling = new EntitySerializer(database.orm, { unknownModel: 'retryable' });
    expect((await failureOf(() => rolling.decode({ $byref: 1, data }))).retryable).toBe(true);
  });

  test('a name of Object.prototype or of a global resolves to nothing', async () => {
    for (const name of ['constructor', '__proto__', 'Function', 'Money\0', '']) {
      const error = await failureOf(() => serializer.decode({ $byref: 1, data: { $value: [name, {}] } }));
      expect(error.code).toBe('E_UNKNOWN_VALUE');
    }
  });
});

describe('a codec that fails', () => {
  const broken = (): EntitySerializer => {
    const own = new EntitySerializer(database.orm);
    own.values.register('Money', Money, {
      encode: () => {
        throw new RangeError('too much');
      },
      decode: () => {
        throw new RangeError('too little');
      },
    });
    return own;
  };

  test('on encode: E_UNSERIALIZABLE with its cause', async () => {
    const error = await failureOf(() => broken().serialize({ a: new Money(1n, 'EUR') }));
    expect([error.code, error.path]).toEqual(['E_UNSERIALIZABLE', '$.a']);
    expect(error.cause).toBeInstanceOf(RangeError);
    expect(error.message).toContain('too much');
  });

  test('on decode: E_MALFORMED with its cause', async () => {
    const error = await failureOf(() => broken().decode({ $byref: 1, data: { a: { $value: ['Money', {}] } } }));
    expect([error.code, error.path]).toEqual(['E_MALFORMED', '$.a']);
    expect(error.cause).toBeInstanceOf(RangeError);
  });
});

describe('the registry', () => {
  const codec = { encode: () => null, decode: () => new Money(1n, 'EUR') };

  test('lists its names', () => {
    expect(serializer.values.names).toEqual(['Lines', 'Money', 'Offer']);
  });

  test.each<[string, unknown[]]>([
    ['a name that is taken', ['Money', class Other {}, codec]],
    ['a class that is taken', ['Other', Money, codec]],
    ['an empty name', ['', class Other {}, codec]],
    ['a name that jsonb refuses', ['a\0', class Other {}, codec]],
    ['an entity', ['User', User, codec]],
    ['no class', ['Other', {}, codec]],
    ['Object', ['Other', Object, codec]],
    ['half a codec', ['Other', class Other {}, { encode: () => null }]],
    ['no codec', ['Other', class Other {}, undefined]],
  ])('refuses %s', async (_name, args) => {
    const { values } = new EntitySerializer(database.orm);
    register(values);
    const error = await failureOf(() => (values.register as (...all: unknown[]) => void)(...args));
    expect(error.code).toBe('E_INVALID_OPTION');
  });

  test('the option values wants marked classes', async () => {
    const error = await failureOf(() => new EntitySerializer(database.orm, { values: [Money] }));
    expect([error.code, error.message]).toEqual(['E_INVALID_OPTION', expect.stringContaining('values.register')]);
  });
});
