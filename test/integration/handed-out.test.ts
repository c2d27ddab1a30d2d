/** Whatever MikroORM hands out: which of it has a row, and which has none yet or no more. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Collection, type EntityManager, EntitySchema, type EventSubscriber, type Ref, rel } from '@mikro-orm/core';
import type { SqlEntityManager } from '@mikro-orm/sql';
import { ByReference, EntitySerializer } from 'mikro-orm-byref';
import { isMikroOrm6 } from '../../fixtures/majors.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { has } from '../support/driver.ts';

class Shelf {
  declare id: string;
  declare label: string;
  books = new Collection<Book>(this);
}

/** With a key of the application's own: that a key is there says nothing. */
class Book {
  declare id: string;
  declare title: string;
  declare shelf: Ref<Shelf> | null;
}

for (const cls of [Shelf, Book]) ByReference()(cls);

const entities = [
  new EntitySchema<Shelf>({
    class: Shelf,
    properties: {
      id: { type: 'string', primary: true },
      label: { type: 'string' },
      books: { kind: '1:m', entity: () => Book, mappedBy: 'shelf' },
    } as never,
  }),
  new EntitySchema<Book>({
    class: Book,
    properties: {
      id: { type: 'string', primary: true },
      title: { type: 'string' },
      shelf: { kind: 'm:1', entity: () => Shelf, ref: true, nullable: true },
    } as never,
  }),
];

type Hand = (em: SqlEntityManager) => unknown;

/** MikroORM 6 has none. */
const streams = !isMikroOrm6 && has('streams');

const first = async <T>(rows: AsyncIterable<T>): Promise<T | undefined> => {
  for await (const row of rows) return row;
  return undefined;
};
const newBook = (id = 'new'): Book => Object.assign(new Book(), { id, title: 'new' });
const where = { id: 'b1' };
const row = { id: 'b1', title: 'one', shelf_id: 's1' };

/** Of what the event of a flush is told. */
async function heard(em: EntityManager, event: keyof EventSubscriber, act: (em: EntityManager) => unknown) {
  const fork = em.fork({ freshEventManager: true });
  let told: unknown;
  fork.getEventManager().registerSubscriber({
    [event]: async ({ entity }: { entity: object }) => {
      if (entity instanceof Book) told ??= outcomes(entity);
    },
  });
  await act(fork);
  await fork.flush();
  return new Told(told);
}

/** What was found out of an entity while it was in that state. */
class Told {
  readonly outcomes: unknown;
  constructor(outcomes: unknown) {
    this.outcomes = outcomes;
  }
}

const stored: Record<string, Hand> = {
  find: async (em) => (await em.find(Book, where))[0],
  findOne: (em) => em.findOneOrFail(Book, where),
  'findOne, in part': (em) => em.findOneOrFail(Book, where, { fields: ['title'] }),
  findAll: async (em) => (await em.findAll(Book, { where }))[0],
  findAndCount: async (em) => (await em.findAndCount(Book, where))[0][0],
  findByCursor: async (em) => {
    const options = { first: 1, orderBy: { id: 'asc' } } as const;
    const find = em.findByCursor as unknown as (...args: unknown[]) => Promise<{ items: Book[] }>;
    return (await find.apply(em, isMikroOrm6 ? [Book, where, options] : [Book, { where, ...options }])).items[0];
  },
  'find, beside the identity map': async (em) => (await em.find(Book, where, { disableIdentityMap: true }))[0],
  'findOne, beside the identity map': (em) => em.findOneOrFail(Book, where, { disableIdentityMap: true }),
  'a collection item': async (em) => (await em.findOneOrFail(Shelf, 's1', { populate: ['books'] })).books[0],
  'a collection item, beside the identity map': async (em) =>
    (await em.findOneOrFail(Shelf, 's1', { populate: ['books'], disableIdentityMap: true })).books[0],
  'matching of a collection': async (em) => (await (await em.findOneOrFail(Shelf, 's1')).books.matching({ where }))[0],
  'a relation, loaded': async (em) => (await em.findOneOrFail(Book, where, { populate: ['shelf'] })).shelf,
  'a relation, not loaded': async (em) => (await em.findOneOrFail(Book, where)).shelf,
  'a relation, beside the identity map': async (em) =>
    (await em.findOneOrFail(Book, where, { disableIdentityMap: true })).shelf,
  refresh: async (em) => {
    const book = await em.findOneOrFail(Book, where);
    await em.refresh(book);
    return book;
  },
  map: (em) => em.map(Book, { ...row }),
  'map, beside the identity map': (em) => em.map(Book, { ...row }, { disableIdentityMap: true } as never),
  'merge of data': (em) => em.merge(Book, { ...where, title: 'one' } as never),
  'merge of an entity': (em) => em.merge(newBook('b1')),
  'upsert of data': (em) => em.upsert(Book, { ...where, title: 'one' } as never),
  'upsert of an entity': (em) => em.upsert(newBook('b1')),
  'upsert of a new row': (em) => em.upsert(Book, { id: 'b9', title: 'nine' } as never),
  upsertMany: async (em) => (await em.upsertMany(Book, [{ ...where, title: 'one' }] as never))[0],
  getReference: (em) => em.getReference(Book, 'b1'),
  'getReference, wrapped': (em) => em.getReference(Book, 'b1', { wrapped: true }),
  rel: () => rel(Book, 'b1'),
  'create, managed': (em) => em.create(Book, { ...where, title: 'one' } as never, { managed: true }),
  'qb.getResult': async (em) => (await em.createQueryBuilder(Book).where(where).getResult())[0],
  'qb.getSingleResult': (em) => em.createQueryBuilder(Book).where(where).getSingleResult(),
  'qb, joined': async (em) => {
    const books = await em.createQueryBuilder(Book, 'b').leftJoinAndSelect('b.shelf', 's').where(where).getResult();
    return books[0]!.shelf;
  },
  'qb.execute, mapped': async (em) =>
    em.map(Book, (await em.createQueryBuilder(Book).where(where).execute('get', false)) as never),
  'raw SQL, mapped': async (em) =>
    em.map(Book, (await em.getConnection().execute(`select * from book where id = 'b1'`))[0]!),
  ...(streams && {
    'stream, its relation': async (em: SqlEntityManager) => (await first(em.stream(Book, { where })))!.shelf,
    'stream, its relation, loaded': async (em: SqlEntityManager) =>
      (await first(em.stream(Book, { where, populate: ['shelf'] as never })))!.shelf,
    'stream, its collection': async (em: SqlEntityManager) =>
      (await first(em.stream(Shelf, { where: { id: 's1' }, populate: ['books'] as never })))!.books[0],
    'stream, merged': async (em: SqlEntityManager) => em.merge((await first(em.stream(Book, { where })))!),
    'qb.stream': (em: SqlEntityManager) => first(em.createQueryBuilder(Book).where(where).stream()),
  }),
  flushed: async (em) => {
    const book = newBook();
    await em.persist(book).flush();
    return book;
  },
  'flushed in a transaction': async (em) => {
    const book = newBook();
    await em.transactional((inner) => void inner.persist(book));
    return book;
  },
  'read in a transaction that has ended': (em) => em.transactional((inner) => inner.findOneOrFail(Book, where)),
  'read in a transaction with nothing of the outside': (em) =>
    em.transactional((inner) => inner.findOneOrFail(Book, where), { clear: true }),
  'read in a fork': (em) => em.fork().findOneOrFail(Book, where),
  'detached by clear': async (em) => {
    const book = await em.findOneOrFail(Book, where);
    em.clear();
    return book;
  },
  'a reference, detached by clear': (em) => {
    const book = em.getReference(Book, 'b1');
    em.clear();
    return book;
  },
  'flushed and detached by clear': async (em) => {
    const book = newBook();
    await em.persist(book).flush();
    em.clear();
    return book;
  },
  'changed and not flushed': async (em) => Object.assign(await em.findOneOrFail(Book, where), { title: 'mine' }),
  'assigned to': async (em) => em.assign(await em.findOneOrFail(Book, where), { title: 'mine' }),
  'found again by a relation': async (em) => {
    const book = newBook();
    book.shelf = em.getReference(Shelf, 's1', { wrapped: true });
    return book.shelf;
  },
  onInit: (em) => heard(em, 'onInit', (own) => own.findOneOrFail(Book, where)),
  onLoad: (em) => heard(em, 'onLoad', (own) => own.findOneOrFail(Book, where)),
  afterCreate: (em) => heard(em, 'afterCreate', (own) => own.persist(newBook())),
  beforeUpdate: (em) =>
    heard(em, 'beforeUpdate', async (own) => ((await own.findOneOrFail(Book, where)).title = 'mine')),
  afterUpdate: (em) => heard(em, 'afterUpdate', async (own) => ((await own.findOneOrFail(Book, where)).title = 'mine')),
  afterUpsert: (em) => heard(em, 'afterUpsert', (own) => own.upsert(Book, { ...where, title: 'one' } as never)),
};

/** Of no EntityManager: MikroORM takes no note of where they come from. */
const streamed: Record<string, Hand> = streams
  ? {
      stream: (em) => first(em.stream(Book, { where })),
      'stream, in part': (em) => first(em.stream(Book, { where, fields: ['title'] })),
      'stream, with a relation': (em) => first(em.stream(Book, { where, populate: ['shelf'] as never })),
    }
  : {};

const unwritten: Record<string, Hand> = {
  'new, by its constructor': () => newBook(),
  'new, persisted': (em) => {
    const book = newBook();
    em.persist(book);
    return book;
  },
  'new, by create': (em) => em.create(Book, { id: 'new', title: 'new' } as never),
  'new, by create, not persisted': (em) =>
    em.create(Book, { id: 'new', title: 'new' } as never, { persist: false } as never),
  'new, below another new one': (em) =>
    em.create(Shelf, { id: 'new', label: 'new', books: [{ id: 'new', title: 'new' }] } as never).books[0],
  'new, in a relation': (em) =>
    em.create(Book, { id: 'new', title: 'new', shelf: { id: 'new', label: 'new' } } as never).shelf,
  'new, in a collection of a row': async (em) => {
    const shelf = await em.findOneOrFail(Shelf, 's1', { populate: ['books'] });
    shelf.books.add(newBook());
    return shelf.books.getItems().at(-1);
  },
  'new, with its relations loaded': async (em) => {
    const book = em.create(Book, { id: 'new', title: 'new', shelf: 's1' } as never);
    await em.populate(book, ['shelf'] as never);
    return book;
  },
  'new, and cleared': (em) => {
    const book = newBook();
    em.persist(book);
    em.clear();
    return book;
  },
  'new, of a flush that failed': async (em) => {
    const book = newBook('b1');
    await em
      .persist(book)
      .flush()
      .catch(() => undefined);
    return book;
  },
  beforeCreate: (em) => heard(em, 'beforeCreate', (own) => own.persist(newBook())),
};

const removed: Record<string, Hand> = {
  'to be removed': async (em) => {
    const book = await em.findOneOrFail(Book, where);
    em.remove(book);
    return book;
  },
  'a reference to be removed': (em) => {
    const book = em.getReference(Book, 'b1');
    em.remove(book);
    return book;
  },
  removed: async (em) => {
    const book = await em.findOneOrFail(Book, where);
    await em.remove(book).flush();
    return book;
  },
  'created and removed': async (em) => {
    const book = newBook();
    await em.persist(book).flush();
    await em.remove(book).flush();
    return book;
  },
  beforeDelete: (em) => heard(em, 'beforeDelete', async (own) => own.remove(await own.findOneOrFail(Book, where))),
};

let serializer: EntitySerializer;

function outcomeOf(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return (error as { code?: string }).code ?? error;
  }
}

/** What each way of making a token says of an entity. */
const outcomes = (value: unknown): unknown[] =>
  [
    () => serializer.serialize(value),
    () => JSON.stringify(serializer.token(value as object)),
    () => JSON.stringify(value),
    () => serializer.dedupeKey(value),
  ].map(outcomeOf);

describe.each([
  { name: 'as ever', options: {}, written: { ...stored, ...streamed }, unknown: unwritten },
  // Their constructor makes streamed rows too, and nothing tells them from new entities then, until they are merged.
  {
    name: 'with constructors',
    options: { forceEntityConstructor: true },
    written: stored,
    unknown: { ...unwritten, ...streamed },
  },
])('$name', ({ options, written, unknown }) => {
  let database: TestOrm;
  let em: SqlEntityManager;

  beforeAll(async () => {
    database = await openDatabase(entities, options);
    serializer = new EntitySerializer(database.orm);
  });
  afterAll(() => database.close());
  beforeEach(async () => {
    em = database.orm.em.fork() as unknown as SqlEntityManager;
    for (const sql of [
      'delete from book',
      'delete from shelf',
      `insert into shelf (id, label) values ('s1', 'upper')`,
      `insert into book (id, title, shelf_id) values ('b1', 'one', 's1')`,
    ])
      await em.getConnection().execute(sql);
  });

  const told = async (hand: Hand): Promise<unknown> => {
    const value = await hand(em);
    return value instanceof Told ? value.outcomes : outcomes(value);
  };

  test.each(Object.entries(written))('has a row: %s', async (_case, hand) => {
    const token = expect.stringMatching(/\["(?:Book|Shelf)","(?:b1|b9|s1|new)"\]/);
    const key = expect.stringMatching(/"(?:b1|b9|s1|new)"/);
    expect(await told(hand)).toEqual([token, token, token, key]);
  });
  test.each(Object.entries(unknown))('has none yet: %s', async (_case, hand) => {
    expect(await told(hand)).toEqual(Array(4).fill('E_UNPERSISTED'));
  });
  test.each(Object.entries(removed))('has none any more: %s', async (_case, hand) => {
    expect(await told(hand)).toEqual(Array(4).fill('E_REMOVED'));
  });
});
