import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { BaseEntity, Collection, defineEntity, EntitySchema, p, serialize, wrap } from '@mikro-orm/core';
import { Embeddable, Embedded, Entity, ManyToOne, OneToMany, PrimaryKey, Property } from '../../fixtures/decorators.ts';
import { ByReference, ByReferenceEntity, ByReferenceMixin, EntitySerializer, EntityToken } from 'mikro-orm-byref';
import { baseOf } from '../../fixtures/majors.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';

@Entity()
@ByReference({ name: 'author', aliases: ['Writer'] })
class Author {
  @PrimaryKey({ type: 'number' })
  id!: number;
  @Property({ type: 'string' })
  name!: string;
  @Property({ type: 'string', hidden: true })
  password!: string;
  @OneToMany({ entity: () => Book, mappedBy: 'author' })
  books = new Collection<Book>(this);
}

@ByReference({ toJSON: false })
@Entity()
class Book {
  @PrimaryKey({ type: 'number' })
  id!: number;
  @ManyToOne({ entity: () => Author })
  author!: Author;
}

@Entity()
class Shelf extends ByReferenceEntity {
  @PrimaryKey({ type: 'number' })
  id!: number;
  @Property({ type: 'string' })
  label!: string;
}

abstract class Timestamped {
  @Property({ type: 'Date' })
  createdAt: Date = new Date(0);
  age(): string {
    return `since ${this.createdAt.getFullYear()}`;
  }
}

@Entity()
class Reader extends ByReferenceMixin(Timestamped) {
  @PrimaryKey({ type: 'number' })
  id!: number;
}

@Entity()
@ByReference({ toJSON: true })
class Loan {
  @PrimaryKey({ type: 'number' })
  id!: number;
  toJSON(): object {
    return { replaced: true };
  }
}

@Entity()
@ByReference({ toJSON: false })
class Fine {
  @PrimaryKey({ type: 'number' })
  id!: number;
  toJSON(): object {
    return { kept: this.id };
  }
}

/** Marked by its base, whose name it does not take. */
@Entity()
class Novel extends Book {
  @Property({ type: 'number' })
  pages!: number;
}

@Embeddable()
class Address {
  @Property({ type: 'string' })
  street!: string;
}

@Entity()
class Library {
  @PrimaryKey({ type: 'number' })
  id!: number;
  @Embedded({ entity: () => Address })
  address!: Address;
  @ManyToOne({ entity: () => Author, nullable: true })
  founder!: Author | null;
}

@Entity()
@ByReference({ missing: 'null', populate: ['reader'] })
class Review {
  @PrimaryKey({ type: 'number' })
  id!: number;
  @ManyToOne({ entity: () => Reader })
  reader!: Reader;
}

class Plain {
  declare id: number;
}
ByReference({ name: 'plain' })(Plain);
const PlainSchema = new EntitySchema<Plain>({ class: Plain, properties: { id: { type: 'number', primary: true } } });

let database: TestOrm;
let serializer: EntitySerializer;

beforeAll(async () => {
  database = await openDatabase([Author, Book, Shelf, Reader, Loan, Fine, Novel, Library, Review, PlainSchema]);
  serializer = new EntitySerializer(database.orm);
  const em = database.orm.em.fork();
  const author = em.create(Author, { id: 1, name: 'Karel', password: 'secret' });
  em.create(Book, { id: 1, author });
  em.create(Novel, { id: 2, author, pages: 300 });
  em.create(Shelf, { id: 1, label: 'top' });
  const reader = em.create(Reader, { id: 1, createdAt: new Date(0) });
  em.create(Review, { id: 1, reader });
  em.create(Loan, { id: 1 } as never);
  em.create(Fine, { id: 1 } as never);
  em.create(Plain, { id: 1 });
  em.create(Library, { id: 1, address: { street: 'Main' }, founder: author });
  await em.flush();
});
afterAll(() => database.close());

const get = <T extends object>(cls: new () => T, id = 1): Promise<T> =>
  database.orm.em.fork().findOneOrFail(cls, id as never) as Promise<T>;

describe('toJSON', () => {
  test.each([
    ['decorator below @Entity', Author, '{"$entity":["author",1]}'],
    ['decorator above @Entity, toJSON: false', Book, '{"id":1,"author":1}'],
    ['base class', Shelf, '{"$entity":["Shelf",1]}'],
    ['mixin', Reader, '{"$entity":["Reader",1]}'],
    ["toJSON: true replaces the class's own", Loan, '{"$entity":["Loan",1]}'],
    ["toJSON: false keeps the class's own", Fine, '{"kept":1}'],
    ['plain call', Plain, '{"$entity":["plain",1]}'],
    ['undecorated', Library, '{"id":1,"address":{"street":"Main"},"founder":1}'],
  ])('%s', async (_name, cls, json) => {
    expect(JSON.stringify(await get<object>(cls))).toBe(json);
  });

  test("a marked child inside an undecorated parent's JSON is a token; toPOJO and serialize stay by value", async () => {
    const em = database.orm.em.fork();
    const library = await em.findOneOrFail(Library, 1, { populate: ['founder'] });
    expect(JSON.stringify(library)).toBe('{"id":1,"address":{"street":"Main"},"founder":{"$entity":["author",1]}}');
    expect(wrap(library).toPOJO()).toMatchObject({ founder: { id: 1, name: 'Karel' } });
    expect(serialize(library, { populate: ['founder'] })).toEqual({
      id: 1,
      address: { street: 'Main' },
      founder: { id: 1, name: 'Karel' },
    });
    expect(wrap(library.founder!).toPOJO()).toMatchObject({ name: 'Karel' });
    expect(JSON.stringify([wrap(library.founder!).toReference()])).toBe('[{"$entity":["author",1]}]');
  });

  test("toJSON: false leaves a collection's members as MikroORM writes them", async () => {
    const author = await database.orm.em.fork().findOneOrFail(Author, 1, { populate: ['books'] });
    expect(JSON.stringify({ books: author.books })).toBe('{"books":[{"id":1,"author":1}]}');
  });

  test('the prototype itself has none, before and after discovery', () => {
    class Undiscovered {
      declare id: number;
    }
    ByReference()(Undiscovered);
    for (const { prototype } of [Author, Shelf, Reader, Plain, Undiscovered]) {
      expect((prototype as unknown as { toJSON(): unknown }).toJSON()).toBeUndefined();
    }
  });

  test('a class with a toJSON of its own must choose', async () => {
    class Own {
      toJSON(): string {
        return 'mine';
      }
    }
    class Heir extends Own {}
    for (const cls of [Own, Heir]) {
      const error = await failureOf(() => ByReference()(cls));
      expect([error.code, error.message]).toEqual(['E_INVALID_OPTION', expect.stringContaining('toJSON: true')]);
      expect(new cls().toJSON()).toBe('mine');
    }
    ByReference({ toJSON: false })(Own);
    ByReference({ name: 'heir' })(Heir);
    expect(new Heir().toJSON()).toBe('mine');
    class Child extends ByReferenceMixin(BaseEntity) {
      override toJSON(): never {
        throw new Error('mine');
      }
    }
    expect((await failureOf(() => ByReference({ name: 'child' })(Child))).code).toBe('E_INVALID_OPTION');
  });
});

test('the mixin takes the class that MikroORM makes for a schema', async () => {
  const properties = { id: p.integer().primary(), title: p.string() };
  const articleSchema = defineEntity({ name: 'Article', properties });
  class Article extends ByReferenceMixin(baseOf(articleSchema)) {
    get shout(): string {
      return `${this.title}!`;
    }
  }
  articleSchema.setClass(Article);
  const draftSchema = defineEntity({ name: 'Draft', properties });
  class Draft extends ByReferenceMixin(baseOf(draftSchema)) {}
  draftSchema.setClass(Draft);
  const own = await openDatabase([articleSchema, draftSchema]);
  const ownSerializer = new EntitySerializer(own.orm);
  const em = own.orm.em.fork();
  const written = [Article, Draft].map((cls) => em.create(cls, { id: 1, title: cls.name }));
  await em.flush();
  expect(JSON.stringify(written)).toBe('[{"$entity":["Article",1]},{"$entity":["Draft",1]}]');
  const [article, draft] = (await ownSerializer.decode(ownSerializer.encode(written), { em: em.fork() })) as [
    Article,
    Draft,
  ];
  expect([article.shout, draft]).toEqual(['Article!', expect.objectContaining({ title: 'Draft' })]);
  expect(await Draft.revive(draft.toToken(), em.fork())).toBeInstanceOf(Draft);
  await own.close();
});

test('a schema without a class is marked, before anything has discovered it', async () => {
  const stampSchema = defineEntity({ name: 'Stamp', properties: { id: p.integer().primary(), text: p.string() } });
  ByReference({ name: 'stamp', aliases: ['Sticker'] })(stampSchema);
  const own = await openDatabase([stampSchema]);
  const ownSerializer = new EntitySerializer(own.orm);
  const em = own.orm.em.fork();
  const stamp = em.create(stampSchema, { id: 1, text: 'Hello' });
  await em.flush();
  expect(JSON.stringify({ stamp })).toBe('{"stamp":{"$entity":["stamp",1]}}');
  const older = { $byref: 1, data: { $entity: ['Sticker', 1] } };
  const options = { em: em.fork(), only: [stampSchema] };
  expect(await ownSerializer.decode(older, options)).toBe(await options.em.findOneOrFail(stampSchema, 1));
  await own.close();
});

describe('names', () => {
  test('are stable, and aliases still resolve', async () => {
    const payload = serializer.encode(await get(Author));
    expect(payload['data']).toEqual({ $entity: ['author', 1] });
    for (const name of ['author', 'Writer']) {
      const back = await serializer.decode({ $byref: 1, data: { $entity: [name, 1] } }, { em: database.orm.em.fork() });
      expect(back).toBeInstanceOf(Author);
    }
    const error = await failureOf(() =>
      serializer.decode({ $byref: 1, data: { $entity: ['Author', 1] } }, { em: database.orm.em.fork() }),
    );
    expect([error.code, error.retryable]).toEqual(['E_UNKNOWN_MODEL', false]);
  });

  test("a base's mark serves its children under their own names", async () => {
    const novel = await get(Novel, 2);
    expect(JSON.stringify(novel)).toBe('{"id":2,"author":1,"pages":300}');
    expect(serializer.encode({ novel })['data']).toEqual({ novel: { $entity: ['Novel', 2] } });
  });

  test('an entity without a mark travels too', async () => {
    const library = await get(Library);
    const back = await serializer.deserialize(serializer.serialize({ library }), { em: database.orm.em.fork() });
    expect(back.library).toBeInstanceOf(Library);
  });

  test("models: 'declared' refuses it, both ways", async () => {
    const strict = new EntitySerializer(database.orm, { models: 'declared' });
    expect(strict.registry.names).not.toContain('Library');
    const library = await get(Library);
    const error = await failureOf(() => strict.serialize({ library }));
    expect([error.code, error.path]).toEqual(['E_UNKNOWN_MODEL', '$.library']);
    const payload = serializer.serialize({ library });
    expect((await failureOf(() => strict.deserialize(payload, { em: database.orm.em.fork() }))).code).toBe(
      'E_UNKNOWN_MODEL',
    );
  });

  test("unknownModel: 'retryable' says that a deploy may bring the model", async () => {
    const rolling = new EntitySerializer(database.orm, { unknownModel: 'retryable' });
    const error = await failureOf(() =>
      rolling.decode({ $byref: 1, data: { $entity: ['New', 1] } }, { em: database.orm.em.fork() }),
    );
    expect([error.code, error.retryable]).toEqual(['E_UNKNOWN_MODEL', true]);
  });

  test('an embeddable is no entity and says so', async () => {
    const library = await get(Library);
    const error = await failureOf(() => serializer.serialize({ address: library.address }));
    expect([error.code, error.message]).toEqual(['E_UNSERIALIZABLE', expect.stringContaining('Address')]);
  });
});

describe("a class's own options", () => {
  const both = { $byref: 1, data: [{ $entity: ['Review', 1] }, { $entity: ['Review', 9] }] };
  const decode = (own: EntitySerializer, options = {}): Promise<[Review, Review | null]> =>
    own.decode<[Review, Review | null]>(both, { em: database.orm.em.fork(), ...options });

  test('go before the serializer', async () => {
    const strict = new EntitySerializer(database.orm, { missing: 'throw', populate: { Review: [] } });
    const [review, missing] = await decode(strict);
    expect([wrap(review.reader).isInitialized(), missing]).toEqual([true, null]);
  });

  test('and a call goes before them', async () => {
    const [review] = await decode(serializer, { populate: { Review: [] } });
    expect(wrap(review.reader).isInitialized()).toBe(false);
    expect((await failureOf(() => decode(serializer, { missing: 'throw' }))).code).toBe('E_ENTITY_NOT_FOUND');
  });
});

describe('the base class and the mixin', () => {
  test('have toToken and a typed revive', async () => {
    const shelf = await get(Shelf);
    const token = shelf.toToken();
    expect(token).toBeInstanceOf(EntityToken);
    expect(token.equals(serializer.token(shelf))).toBe(true);
    const em = database.orm.em.fork();
    const back: Shelf = await Shelf.revive(token, em);
    expect(back.label).toBe('top');
    expect(await Shelf.revive(token.toString(), em)).toBe(back);
    const reader: Reader = await Reader.revive((await get(Reader)).toToken(), em);
    expect(reader.age()).toBe('since 1970');
  });

  test("revive refuses another class's token, a missing row and garbage", async () => {
    const em = database.orm.em.fork();
    const readers = (await get(Reader)).toToken();
    expect((await failureOf(() => Shelf.revive(readers, em))).code).toBe('E_MODEL_NOT_ALLOWED');
    expect((await failureOf(() => Shelf.revive(new EntityToken('Shelf', 9), em))).code).toBe('E_ENTITY_NOT_FOUND');
    expect((await failureOf(() => Shelf.revive('garbage', em))).code).toBe('E_MALFORMED');
  });

  test('revive needs a serializer', async () => {
    const bare = await openDatabase([Shelf]);
    expect((await failureOf(() => Shelf.revive(new EntityToken('Shelf', 1), bare.orm.em.fork()))).code).toBe(
      'E_INVALID_OPTION',
    );
    await bare.close();
  });
});

describe('plain JSON', () => {
  test('revive replaces tokens of the classes in only and leaves all else alone', async () => {
    const [author, shelf] = [await get(Author), await get(Shelf)];
    const json: unknown = JSON.parse(
      JSON.stringify({ author, shelf, list: [author], $date: 'x', $$x: 1, at: { $entity: 5 } }),
    );
    const back = await serializer.revive<Record<string, unknown>>(json, { only: [Author], em: database.orm.em.fork() });
    expect(back['author']).toBeInstanceOf(Author);
    expect((back['list'] as unknown[])[0]).toBe(back['author']);
    expect({ ...back, author: 0, list: 0 }).toEqual({
      author: 0,
      shelf: { $entity: ['Shelf', 1] },
      list: 0,
      $date: 'x',
      $$x: 1,
      at: { $entity: 5 },
    });
    expect((json as { author: unknown }).author).toEqual({ $entity: ['author', 1] });
  });

  test('only is required, an envelope is for decode, a bad key is malformed', async () => {
    const em = database.orm.em.fork();
    expect((await failureOf(() => serializer.revive({}, { em } as never))).code).toBe('E_INVALID_OPTION');
    expect(
      (await failureOf(() => serializer.revive({ $byref: 1, data: 1 }, { only: [Author], em }))).message,
    ).toContain('decode()');
    expect((await failureOf(() => serializer.revive([{ $entity: ['author', {}] }], { only: [Author], em }))).code).toBe(
      'E_MALFORMED',
    );
    const own = (await serializer.revive(JSON.parse('{"__proto__":{"a":1}}'), { only: [Author], em })) as object;
    expect(Object.getPrototypeOf(own)).toBe(Object.prototype);
    expect(JSON.stringify(own)).toBe('{"__proto__":{"a":1}}');
  });
});
