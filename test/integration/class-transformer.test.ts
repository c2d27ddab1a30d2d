import 'reflect-metadata';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Exclude, Expose, Transform, Type } from 'class-transformer';
import { ByReference, byValue, EntitySerializer, EntityToken } from 'mikro-orm-byref';
import { ByValue, defineDto, field, ref } from 'mikro-orm-byref/class-transformer';
import { Comment, domain, Post, Tag, User } from '../../fixtures/domain.ts';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { Decimal, Line, Money, Offer } from '../../fixtures/value-objects.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';

const tagId = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11';
let database: TestOrm;
let serializer: EntitySerializer;

beforeAll(async () => {
  database = await openDatabase(domain);
  serializer = new EntitySerializer(database.orm, { values: [Money, Offer] });
  const em = database.orm.em.fork();
  const ann = em.create(User, { id: 1, name: 'Ann', email: 'ann@example.org' });
  const post = em.create(Post, { id: 1, title: 'Hello', body: '', author: ann });
  em.create(Comment, { id: 1n, text: 'First', post, author: ann });
  em.create(Tag, { id: tagId, label: 'news' });
  await em.flush();
});
afterAll(() => database.close());
beforeEach(() => {
  database.statements.length = 0;
});

const reference = (model: string, key: unknown): unknown => ({ $entity: [model, key] });
const user = reference('User', 1);
const post = reference('Post', 1);
const comment = reference('Comment', { $bigint: '1' });

describe('@ByValue', () => {
  const offerOf = (customer: User): Offer =>
    Object.assign(new Offer(), {
      price: Money.of('10.50'),
      customer,
      until: new Date(Date.UTC(2027, 0)),
      limit: 9_007_199_254_740_993n,
      discounts: new Map([['early', Money.of('0.50', 'EUR')]]),
      lines: [Line.of('work', Money.of('10'))],
      cache: 'secret',
    });

  test('an instance comes back working: methods, decimals, dates, nested ones, the entity fresh', async () => {
    const customer = await database.orm.em.fork().findOneOrFail(User, 1);
    const payload = serializer.serialize({ offer: offerOf(customer) });
    await database.orm.em.fork().nativeUpdate(User, 1, { name: 'Ann Lee' });
    database.statements.length = 0;
    const { offer } = await serializer.deserialize(payload, { em: database.orm.em.fork() });
    expect(selects(database.statements)).toHaveLength(1);
    expect(offer).toBeInstanceOf(Offer);
    expect(offer.describe()).toBe('Ann Lee pays 10.50 CZK until 2027');
    expect(offer.price.amount).toBeInstanceOf(Decimal);
    expect(String(offer.price.plus(offer.lines[0]!.price))).toBe('20.50 CZK');
    expect(offer.lines[0]).toBeInstanceOf(Line);
    expect(offer.lines[0]!.price).toBeInstanceOf(Money);
    expect(String(offer.discounts.get('early'))).toBe('0.50 EUR');
    expect([offer.limit, offer.until, offer.cache]).toEqual([
      9_007_199_254_740_993n,
      new Date(Date.UTC(2027, 0)),
      'not sent',
    ]);
  });

  test('is on the wire as pinned', async () => {
    const customer = database.orm.em.fork().getReference(User, 1);
    const price = (amount: string, currency = 'CZK'): unknown => ({ $value: ['Money', { amount, currency }] });
    expect(serializer.encode(offerOf(customer))['data']).toEqual({
      $value: [
        'Offer',
        {
          price: price('10.50'),
          customer: user,
          until: { $date: '2027-01-01T00:00:00.000Z' },
          max: { $bigint: '9007199254740993' },
          discounts: { $map: [['early', price('0.50', 'EUR')]] },
          lines: [{ label: 'work', price: price('10') }],
        },
      ],
    });
  });

  test('an entity with a populated collection inside is never walked into', async () => {
    const customer = await database.orm.em.fork().findOneOrFail(User, 1, { populate: ['posts', 'posts.comments'] });
    const wire = JSON.stringify(serializer.encode([offerOf(customer), { list: [customer.posts] }]));
    expect(wire).not.toMatch(/ann@example|hunter2|Hello/);
  });

  test('data that lacks a property gets its initial value, and one that is unknown is left out', async () => {
    const data = { $value: ['Money', { amount: '1', hacked: true, constructor: 1 }] };
    const money = (await serializer.decode({ $byref: 1, data })) as Money;
    expect(String(money)).toBe('1 CZK');
    expect(Object.keys(money).sort()).toEqual(['amount', 'currency']);
  });

  test('getters, setters, private fields and frozen instances', async () => {
    @ByValue('Celsius')
    class Celsius {
      #degrees = 0;

      @Expose()
      get degrees(): number {
        return this.#degrees;
      }

      set degrees(value: number) {
        this.#degrees = value;
      }

      @Expose()
      get measuredBy(): User | undefined {
        return this.#by;
      }

      set measuredBy(value: User | undefined) {
        this.#by = value;
      }

      #by: User | undefined;

      @Expose({ toPlainOnly: true })
      get warm(): boolean {
        return this.#degrees > 20;
      }

      @Expose()
      get rounded(): Date {
        return new Date(this.#degrees);
      }
    }
    const own = new EntitySerializer(database.orm, { values: [Celsius] });
    const value = new Celsius();
    value.degrees = 25;
    value.measuredBy = database.orm.em.fork().getReference(User, 1);
    Object.freeze(value);
    expect(own.encode(value)['data']).toEqual({
      $value: [
        'Celsius',
        { degrees: 25, measuredBy: user, warm: true, rounded: { $date: '1970-01-01T00:00:00.025Z' } },
      ],
    });
    const back = await own.deserialize(own.serialize(value), { em: database.orm.em.fork() });
    expect([back.degrees, back.warm, back.measuredBy!.email]).toEqual([25, true, 'ann@example.org']);
  });

  test('subclasses by discriminator', async () => {
    class Shape {
      @Expose()
      label = '';
    }
    class Circle extends Shape {
      @Expose()
      radius = 0;

      area(): number {
        return this.radius ** 2 * 3;
      }
    }
    class Square extends Shape {
      @Expose()
      side = 0;
    }
    @ByValue('Drawing')
    class Drawing {
      @Type(() => Shape, {
        discriminator: {
          property: 'kind',
          subTypes: [
            { name: 'circle', value: Circle },
            { name: 'square', value: Square },
          ],
        },
      })
      shapes: Shape[] = [];
    }
    const own = new EntitySerializer(database.orm, { values: [Drawing] });
    const drawing = Object.assign(new Drawing(), {
      shapes: [Object.assign(new Circle(), { radius: 2 }), new Square()],
    });
    expect(own.encode(drawing)['data']).toEqual({
      $value: [
        'Drawing',
        {
          shapes: [
            { kind: 'circle', label: '', radius: 2 },
            { kind: 'square', label: '', side: 0 },
          ],
        },
      ],
    });
    const back = await own.deserialize(own.serialize(drawing));
    expect((back.shapes[0] as Circle).area()).toBe(12);
    expect(back.shapes[1]).toBeInstanceOf(Square);
    expect('kind' in back.shapes[0]!).toBe(false);
    const forged = { $value: ['Drawing', { shapes: [{ kind: 'star', label: '' }] }] };
    expect(await failureOf(() => own.decode({ $byref: 1, data: forged } as never))).toMatchObject({
      code: 'E_MALFORMED',
      path: "$['$value'][1].shapes[0]",
    });
  });

  test('what would not come back is refused', async () => {
    @ByValue('Leaky')
    class Leaky {
      @Expose()
      kept = 1;
      lost = 2;
    }
    class Stranger {
      readonly x = 1;
    }
    @ByValue('Holder')
    class Holder {
      @Expose()
      stranger: unknown = new Stranger();
    }
    class SubMoney extends Money {}
    @ByValue('Cyclic')
    class Cyclic {
      @Expose()
      self: unknown = [this];
    }
    const own = new EntitySerializer(database.orm, { values: [Leaky, Holder, Money, Cyclic] });
    const leaky = await failureOf(() => own.serialize({ a: new Leaky() }));
    expect([leaky.code, leaky.path, leaky.message]).toEqual([
      'E_UNSERIALIZABLE',
      '$.a',
      expect.stringContaining('"lost"'),
    ]);
    const holder = await failureOf(() => own.serialize(new Holder()));
    expect([holder.code, holder.path]).toEqual(['E_UNSERIALIZABLE', "$['$value'][1].stranger"]);
    expect(holder.message).toContain('values.register("Stranger"');
    expect((await failureOf(() => own.serialize(Object.assign(new SubMoney(), Money.of('1'))))).message).toContain(
      'An instance of SubMoney',
    );
    expect((await failureOf(() => own.serialize(new Cyclic()))).message).toContain('contains itself');
    expect((await failureOf(() => ByValue(''))).code).toBe('E_INVALID_OPTION');
    expect((await failureOf(() => new EntitySerializer(database.orm, { values: [Money, Money] }))).code).toBe(
      'E_INVALID_OPTION',
    );
  });

  test('a declared reference of a value object has its policy', async () => {
    @ByValue('Assignment')
    class Assignment {
      @ByReference(() => Post, { populate: ['author'], nullable: true })
      post!: Post | null;
    }
    const own = new EntitySerializer(database.orm, { values: [Assignment] });
    const assignment = (body: unknown): never =>
      ({ $byref: 1, data: [{ $value: ['Assignment', { post: body }] }] }) as never;
    const [back] = (await own.decode(assignment(post), { em: database.orm.em.fork() })) as [Assignment];
    expect(back.post!.author.unwrap().email).toBe('ann@example.org');
    expect(((await own.decode(assignment(null))) as [Assignment])[0].post).toBeNull();
    database.statements.length = 0;
    for (const body of [user, 1, { $snapshot: ['Post', { id: 1 }] }]) {
      const error = await failureOf(() => own.decode(assignment(body), { em: database.orm.em.fork() }));
      expect([error.code, error.path]).toEqual(['E_MALFORMED', "$[0]['$value'][1].post"]);
    }
    expect(database.statements).toEqual([]);
  });
});

class LineDto {
  @ByReference(() => Tag)
  tag!: Tag;
  @Expose()
  count!: number;
}

class SendInvoice {
  @ByReference(() => Post, { populate: ['author'] })
  post!: Post;

  @ByReference(() => [User, Comment], { nullable: true })
  target!: User | Comment | null;

  @ByReference(() => Comment, { each: true, optional: true, missing: 'omit' })
  comments?: Comment[];

  @ByReference(() => User, { optional: true, missing: 'null' })
  reviewer?: User | null;

  @Expose({ name: 'text' })
  note!: string;

  @Expose()
  copies = 1;

  @Type(() => Date)
  due!: Date;

  @Type(() => LineDto)
  lines: LineDto[] = [];

  @Type(() => Money)
  price: Money | undefined = Money.of('0');

  summary(): string {
    return `${this.post.title} by ${this.post.author.unwrap().name}: ${this.note} x${this.copies}`;
  }
}

const invoice = { post, target: user, text: 'please', due: '2026-12-01T00:00:00.000Z' };
const payload = (data: unknown): never => ({ $byref: 1, data }) as never;
const send = (data: unknown, options = {}): Promise<SendInvoice> =>
  serializer.decode(payload(data), { as: SendInvoice, em: database.orm.em.fork(), ...options });

describe('a DTO', () => {
  test('comes back as its instance, its references fresh and populated', async () => {
    const back = await send({
      ...invoice,
      comments: [comment],
      lines: [{ tag: reference('Tag', tagId), count: 2 }],
      price: { $value: ['Money', { amount: '2.50' }] },
    });
    expect(back).toBeInstanceOf(SendInvoice);
    expect(back.summary()).toBe('Hello by Ann Lee: please x1');
    expect(back.target).toBeInstanceOf(User);
    expect(back.due).toEqual(new Date(Date.UTC(2026, 11)));
    expect(back.comments!.map(({ text }) => text)).toEqual(['First']);
    expect(back.lines[0]).toBeInstanceOf(LineDto);
    expect(back.lines[0]!.tag.label).toBe('news');
    expect(String(back.price)).toBe('2.50 CZK');
    // One per model; the author is joined to the post.
    expect(selects(database.statements)).toHaveLength(4);
  });

  test('from text, typed by the class', async () => {
    const em = database.orm.em.fork();
    const value = { post: em.getReference(Post, 1), target: null, text: 'x', due: new Date(0) };
    const back: SendInvoice = await serializer.deserialize(serializer.serialize(value), { as: SendInvoice, em });
    expect([back.target, back.note, back.due]).toEqual([null, 'x', new Date(0)]);
  });

  test('a polymorphic property takes each of its classes', async () => {
    expect((await send({ ...invoice, target: comment })).target).toBeInstanceOf(Comment);
    expect((await send({ ...invoice, target: null })).target).toBeNull();
  });

  test('the property goes before the call, the call before the model', async () => {
    const gone = reference('User', 404);
    expect((await send({ ...invoice, reviewer: gone })).reviewer).toBeNull();
    expect((await send({ ...invoice, reviewer: gone }, { missing: 'throw' })).reviewer).toBeNull();
    const comments = [reference('Comment', { $bigint: '404' }), comment];
    expect((await send({ ...invoice, comments })).comments).toHaveLength(1);
    const error = await failureOf(() => send({ ...invoice, target: gone }));
    expect([error.code, error.path]).toEqual(['E_ENTITY_NOT_FOUND', '$.target']);
    expect((await send({ ...invoice, target: gone }, { missing: 'null' })).target).toBeNull();
  });

  test('one row through two policies is one object', async () => {
    class Pair {
      @ByReference(() => Post, { populate: ['author'] })
      full!: Post;
      @ByReference(() => Post)
      bare!: Post;
    }
    const back = await serializer.decode(payload({ full: post, bare: post }), {
      as: Pair,
      em: database.orm.em.fork(),
    });
    expect(back.full).toBe(back.bare);
    expect(back.full.author.isInitialized()).toBe(true);
  });

  test('Sets and Maps of references', async () => {
    class Lists {
      @ByReference(() => User, { each: 'set' })
      set!: Set<User>;
      @ByReference(() => [User, Post], { each: 'map', populate: { Post: ['author'] } })
      map!: Map<string, User | Post>;
    }
    const back = await serializer.decode(
      payload({
        set: { $set: [user, user] },
        map: {
          $map: [
            ['a', user],
            ['b', post],
          ],
        },
      }),
      { as: Lists, em: database.orm.em.fork() },
    );
    expect(back.set.size).toBe(1);
    expect(back.map.get('a')).toBe([...back.set][0]);
    expect((back.map.get('b') as Post).author.isInitialized()).toBe(true);
  });

  test.each<[string, unknown, string]>([
    ['a model that is not declared', { ...invoice, post: user }, '$.post'],
    ['a model outside a polymorphic list', { ...invoice, target: post }, '$.target'],
    ['a scalar for an entity', { ...invoice, post: 1 }, '$.post'],
    ['an object for an entity', { ...invoice, post: { id: 1 } }, '$.post'],
    ['a copy for an entity', { ...invoice, post: { $snapshot: ['Post', { id: 1, title: 'forged' }] } }, '$.post'],
    ['a token for an entity', { ...invoice, post: { $token: ['Post', 1] } }, '$.post'],
    ['a list for an entity', { ...invoice, post: [post] }, '$.post'],
    ['an entity for a list', { ...invoice, comments: comment }, '$.comments'],
    ['a wrong model in a list', { ...invoice, comments: [comment, user] }, '$.comments[1]'],
    ['null in a list', { ...invoice, comments: [null] }, '$.comments[0]'],
    ['null where it is not nullable', { ...invoice, post: null }, '$.post'],
    ['undefined where it is required', { ...invoice, post: { $undefined: true } }, '$.post'],
    ['a missing reference', { target: user, text: 'x', due: '' }, '$'],
    ['a missing field', { post, target: user, due: '' }, '$'],
    ['an undeclared key', { ...invoice, admin: true }, '$.admin'],
    ['a property under its own name where another is exposed', { ...invoice, note: 'x' }, '$.note'],
    ['an undeclared key that starts with $', { ...invoice, $$where: 1 }, "$['$$where']"],
    ['a key of Object.prototype', { ...invoice, constructor: {} }, '$.constructor'],
    ['an entity where none is declared', { ...invoice, text: user }, '$.text'],
    ['an entity in plain data', { ...invoice, text: { deep: [user] } }, '$.text.deep[0]'],
    ['an undeclared key in a nested DTO', { ...invoice, lines: [{ tag: 1, count: 1, x: 1 }] }, '$.lines[0].x'],
    ['a wrong model in a nested DTO', { ...invoice, lines: [{ tag: user, count: 1 }] }, '$.lines[0].tag'],
    ['a scalar for a nested DTO', { ...invoice, lines: ['x'] }, '$.lines[0]'],
    ['a scalar for the whole', 1, '$'],
    ['a list for the whole', [invoice], '$'],
    ['an entity for the whole', user, '$'],
    ['a Map for the whole', { $map: [] }, '$'],
  ])('%s is E_MALFORMED before any query', async (_name, data, path) => {
    const error = await failureOf(() => send(data));
    expect([error.code, error.path]).toEqual(['E_MALFORMED', path]);
    expect(database.statements).toEqual([]);
  });

  test('an unknown model is that, for a rolling deploy', async () => {
    expect((await failureOf(() => send({ ...invoice, post: reference('Invoice', 1) }))).code).toBe('E_UNKNOWN_MODEL');
  });

  test('value objects, copies and tokens are declared by their classes, what is in them by these', async () => {
    class Order {
      @Type(() => Offer)
      offer: unknown;
      @Type(() => Post)
      copy: unknown;
      @Type(() => EntityToken)
      token: unknown;
    }
    const author = await database.orm.em.fork().findOneOrFail(User, 1);
    const copied = await database.orm.em.fork().findOneOrFail(Post, 1);
    const offer = Object.assign(new Offer(), { price: Money.of('1'), customer: author, until: new Date(0), limit: 1n });
    const back = await serializer.decode(
      serializer.encode({ offer, copy: byValue(copied), token: serializer.token(author) }) as never,
      {
        as: Order,
        em: database.orm.em.fork(),
      },
    );
    expect((back.offer as Offer).describe()).toBe('Ann Lee pays 1 CZK until 1970');
    expect((back.copy as Post).author.unwrap().id).toBe(1);
    expect(String(back.token)).toBe(String(serializer.token(author)));
  });

  test('without decorators', async () => {
    class Job {
      declare post: Post;
      declare note?: string;
      retries = 3;
    }
    defineDto(Job, { post: ref(() => Post), note: field({ optional: true }), retries: field() });
    const decode = (data: unknown): Promise<Job> =>
      serializer.decode(payload(data), { as: Job, em: database.orm.em.fork() });
    const back = await decode({ post });
    expect([back.post.title, back.note, back.retries]).toEqual(['Hello', undefined, 3]);
    expect((await decode({ post, note: 'x', retries: 1 })).note).toBe('x');
    expect((await failureOf(() => decode({ post, other: 1 }))).path).toBe('$.other');
  });

  test('described properties are inherited, and narrowed', async () => {
    class Base {
      @ByReference(() => [User, Post], { only: [Post] })
      target!: User | Post;
    }
    class Child extends Base {
      @ByReference(() => User)
      author!: User;
    }
    const decode = (data: unknown): Promise<Child> =>
      serializer.decode(payload(data), { as: Child, em: database.orm.em.fork() });
    expect((await decode({ target: post, author: user })).author.id).toBe(1);
    expect((await failureOf(() => decode({ target: user, author: user }))).path).toBe('$.target');
    expect((await failureOf(() => decode({ target: post }))).message).toContain('"author"');
  });

  test('a transform that fails is E_MALFORMED with its cause', async () => {
    class Strict {
      @Expose()
      @Transform(({ value }: { value: string }) => BigInt(value))
      n!: bigint;
      @Exclude()
      cache = 1;
    }
    const decode = (data: unknown): Promise<Strict> => serializer.decode(payload(data), { as: Strict });
    expect((await decode({ n: '7' })).n).toBe(7n);
    const error = await failureOf(() => decode({ n: 'x' }));
    expect([error.code, error.cause]).toEqual(['E_MALFORMED', expect.any(SyntaxError)]);
  });
});

describe('bad declarations', () => {
  class Nothing {}

  test('a class that declares nothing', async () => {
    expect((await failureOf(() => serializer.decode(payload({}), { as: Nothing }))).code).toBe('E_INVALID_OPTION');
  });

  test.each<[string, () => unknown]>([
    ['an unknown option', () => ByReference(() => User, { nulable: true } as never)],
    ['a bad policy', () => ref(() => User, { missing: 'drop' as never })],
    ['omit of a single required property', () => ref(() => User, { missing: 'omit' })],
    ['a TC39 field', () => ByReference(() => User)(undefined as never, { kind: 'field', name: 'x' } as never)],
    ['a relation of an unknown model', () => decodeWith({ populate: { Nobody: ['x'] } })],
    ['a class that is no entity', () => decodeWith({ only: [Nothing] })],
    ['a policy that a lazy reference can’t keep', () => decodeWith({ missing: 'null' }, { freshness: 'lazy' })],
    ['as for plain JSON', () => serializer.revive({}, { only: [User], as: SendInvoice } as never)],
  ])('%s', async (_name, run) => {
    expect((await failureOf(run)).code).toBe('E_INVALID_OPTION');
  });

  function decodeWith(options: Parameters<typeof ref>[1], call = {}): Promise<unknown> {
    class Job {
      declare user: User;
    }
    defineDto(Job, { user: ref(() => User, options) });
    return serializer.decode(payload({ user }), { as: Job, em: database.orm.em.fork(), ...call });
  }
});
