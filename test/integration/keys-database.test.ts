/** What a key means to the database: spellings that it alone knows to be equal, values that it alone refuses. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { EntitySchema, Type } from '@mikro-orm/core';
import type { MikroORM } from '@mikro-orm/postgresql';
import { ByReference, EntitySerializer, EntityToken } from 'mikro-orm-byref';
import { keys } from '../../fixtures/keys.ts';
import { makeOrm, schemaOf } from '../../fixtures/majors.ts';
import { collectStatements, selects, type TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { failureOf } from '../support/failure.ts';
import { offlineOrm } from '../support/offline-orm.ts';

class Person {
  declare name: string;
  declare note: string;
}
class Seat {
  declare person: Person;
  declare row: number;
  declare note: string;
}
class Paint {
  declare colour: string;
  declare note: string;
}
ByReference()(Paint);
class Price {
  declare amount: string;
  declare note: string;
}
class Ticket {
  declare id: number;
  declare tenant: string;
  declare parts: number;
  declare share: number;
}

const note = { type: 'string', nullable: true };
const schemas = [
  new EntitySchema({
    class: Person,
    properties: { name: { type: 'string', columnType: 'citext', primary: true }, note },
  }),
  new EntitySchema({
    class: Seat,
    properties: {
      person: { kind: 'm:1', entity: () => Person, primary: true },
      row: { type: 'number', primary: true },
      note,
    },
  } as never),
  new EntitySchema({
    class: Paint,
    properties: { colour: { enum: true, items: ['red', 'blue'], nativeEnumName: 'colour', primary: true }, note },
  } as never),
  new EntitySchema({
    class: Price,
    properties: { amount: { type: 'string', columnType: 'positive_amount', primary: true }, note },
  }),
  new EntitySchema({
    class: Ticket,
    filters: {
      since: { name: 'since', cond: ({ day }: { day: string }) => ({ tenant: { $gte: day } }), default: false },
    },
    properties: {
      id: { type: 'number', primary: true },
      tenant: { type: 'date' },
      parts: { type: 'number' },
      share: { type: 'number', formula: (alias: unknown) => `(100 / ${String(alias)}.parts)` },
    },
  } as never),
];

let database: TestOrm;
let orm: MikroORM;
let serializer: EntitySerializer;
const { statements, ...logging } = collectStatements();

beforeAll(async () => {
  database = await openDatabase(keys);
  const connection = database.orm.em.fork().getConnection();
  await connection.execute('create extension citext; create domain positive_amount as numeric(8, 2) check (value > 0)');
  orm = makeOrm({ clientUrl: database.url, entities: schemas, ...logging });
  await schemaOf(orm).refresh();
  serializer = new EntitySerializer(orm);
});
afterAll(async () => {
  await orm.close(true);
  await database.close();
});
beforeEach(async () => {
  await schemaOf(orm).clear();
  const em = orm.em.fork();
  const ann = em.create(Person, { name: 'Ann', note: 'ann' });
  em.create(Person, { name: 'Émile', note: 'émile' });
  em.create(Person, { name: 'k', note: 'k' });
  em.create(Seat, { person: ann, row: 1, note: 'seat' });
  em.create(Paint, { colour: 'red', note: 'red' });
  em.create(Price, { amount: '1.50', note: 'price' });
  em.create(Ticket, { id: 1, tenant: '2026-01-02', parts: 4 } as never);
  em.create(Ticket, { id: 2, tenant: '2026-01-02', parts: 0 } as never);
  await em.flush();
  statements.length = 0;
});

const payload = (...tokens: readonly unknown[][]) => ({
  $byref: 1 as const,
  data: tokens.map((token) => ({ $entity: token })),
});
const decode = async <T>(tokens: readonly unknown[][], options: object = {}): Promise<T[]> =>
  (await serializer.decode(payload(...tokens) as never, { em: orm.em.fork(), ...options })) as T[];

describe('spellings that only the database knows to be equal', () => {
  test('are one row and one object, for one query more', async () => {
    const people = await decode<Person>([
      ['Person', 'ANN'],
      ['Person', 'ann'],
      ['Person', 'Ann'],
      ['Person', 'k'],
    ]);
    expect(people.map(({ note }) => note)).toEqual(['ann', 'ann', 'ann', 'k']);
    expect(new Set(people).size).toBe(2);
    expect(people[0]!.name).toBe('Ann');
    expect(selects(statements)).toHaveLength(2);
  });

  test('cost nothing where the spelling is the stored one, where there is one key, and where nothing is found', async () => {
    await decode([
      ['Person', 'Ann'],
      ['Person', 'k'],
    ]);
    expect(selects(statements)).toHaveLength(1);
    expect(await decode<Person>([['Person', 'aNN']])).toMatchObject([{ note: 'ann' }]);
    expect(selects(statements)).toHaveLength(2);
    expect(
      await decode(
        [
          ['Person', 'Bob'],
          ['Person', 'Eve'],
        ],
        { missing: 'null' },
      ),
    ).toEqual([null, null]);
    expect(selects(statements)).toHaveLength(3);
  });

  test('are those of the database, not those of JavaScript', async () => {
    // In its locale PostgreSQL may fold ASCII alone; JavaScript folds KELVIN SIGN to k.
    const [{ same }] = (await orm.em.fork().getConnection().execute(`select '\u212A'::citext = 'k' as same`)) as [
      { same: boolean },
    ];
    const [kelvin, k] = await decode<Person>(
      [
        ['Person', '\u212A'],
        ['Person', 'k'],
      ],
      { missing: 'null' },
    );
    expect(kelvin ?? null).toBe(same ? k : null);
    expect(k!.note).toBe('k');
  });

  test('meet in a foreign key that is a part of a key, and in an EntityManager that has the row', async () => {
    const em = orm.em.fork();
    const seat = await em.findOneOrFail(Seat, { note: 'seat' });
    const [one, two] = await decode<Seat>(
      [
        ['Seat', ['ANN', 1]],
        ['Seat', ['ann', 1]],
      ],
      { em },
    );
    expect([one, two]).toEqual([seat, seat]);
    expect(one).toBe(seat);
    expect(await decode([['Seat', ['ANN', 2]]], { missing: 'null' })).toEqual([null]);
  });

  test('an entity goes by the stored one in locks, deduplication and caches; a bare token by its own', async () => {
    const [byOther] = await decode<Person>([['Person', 'ANN']]);
    const stored = await orm.em.fork().findOneOrFail(Person, { name: 'Ann' });
    expect(serializer.dedupeKey(byOther)).toBe(serializer.dedupeKey(stored));
    expect(serializer.token(byOther!).toJSON()).toEqual({ $token: ['Person', 'Ann'] });
    expect(serializer.dedupeKey(new EntityToken('Person', 'ANN'))).not.toBe(serializer.dedupeKey(stored));
  });

  test('keep what is not flushed of the row', async () => {
    const em = orm.em.fork();
    const ann = await em.findOneOrFail(Person, { name: 'Ann' });
    ann.note = 'mine';
    const [one] = await decode<Person>(
      [
        ['Person', 'ANN'],
        ['Person', 'k'],
      ],
      { em },
    );
    expect([one === ann, ann.note, ann.name]).toEqual([true, 'mine', 'Ann']);
    const managed = await decode<Person>(
      [
        ['Person', 'ANN'],
        ['Person', 'k'],
      ],
      { em, freshness: 'managed' },
    );
    expect([managed[0] === ann, ann.note]).toEqual([true, 'mine']);
  });

  test('are locked like any other', async () => {
    await orm.em.fork().transactional(async (em) => {
      const ann = await em.findOneOrFail(Person, { name: 'Ann' });
      const [locked] = await decode<Person>(
        [
          ['Person', 'ANN'],
          ['Person', 'k'],
        ],
        { em, lockMode: 4 },
      );
      expect(locked).toBe(ann);
      expect(statements.some((statement) => statement.includes('for update'))).toBe(true);
    });
  });
});

describe('a key that is changed and not flushed', () => {
  test('is refused: the row has its old key until the flush, the new one after it', async () => {
    const em = orm.em.fork();
    const paint = await em.findOneOrFail(Paint, { colour: 'red' });
    const token = serializer.token(paint);
    paint.colour = 'blue';
    for (const use of [
      () => serializer.token(paint),
      () => serializer.serialize([paint]),
      () => serializer.dedupeKey(paint),
      () => JSON.stringify(paint),
    ]) {
      const error = await failureOf(use);
      expect([error.code, error.retryable, error.tokens.map(String)]).toEqual(['E_UNFLUSHED', false, [String(token)]]);
    }
    await em.flush();
    expect(serializer.token(paint).primaryKey).toBe('blue');
    expect((await decode<Paint>([['Paint', 'blue']])).map(({ note }) => note)).toEqual(['red']);
  });

  test('so is a part of one, and the row it points to', async () => {
    const em = orm.em.fork();
    const seat = await em.findOneOrFail(Seat, { note: 'seat' });
    seat.row = 2;
    expect((await failureOf(() => serializer.token(seat))).code).toBe('E_UNFLUSHED');
    seat.row = 1;
    expect(serializer.token(seat).primaryKey).toEqual(['Ann', 1]);
    seat.person = em.getReference(Person, 'k' as never);
    expect((await failureOf(() => serializer.token(seat))).code).toBe('E_UNFLUSHED');
  });

  test("stays the user's where its row is revived: the next flush writes it, and no row more", async () => {
    const em = orm.em.fork();
    const [ticket, seat] = [await em.findOneOrFail(Ticket, 1 as never), await em.findOneOrFail(Seat, { row: 1 })];
    Object.assign(ticket, { id: 9 });
    seat.row = 2;
    const tokens = [
      ['Ticket', 1],
      ['Seat', ['Ann', 1]],
    ];
    for (const options of [{}, { freshness: 'managed' }]) {
      const revived = await decode<object>(tokens, { em, ...options });
      expect([revived[0] === ticket, revived[1] === seat, ticket.id, seat.row]).toEqual([true, true, 9, 2]);
    }
    await em.flush();
    const after = orm.em.fork();
    const keysOf = async (): Promise<unknown[]> => [
      (await after.find(Ticket, {}, { orderBy: { id: 'asc' }, fields: ['id'] as never })).map(({ id }) => id),
      (await after.find(Seat, {})).map((found) => found.row),
    ];
    expect(await keysOf()).toEqual([[2, 9], [2]]);
  });

  test('is never taken for another row that a payload names', async () => {
    const em = orm.em.fork();
    const [one, two] = await em.find(
      Ticket,
      { parts: { $gte: 0 } },
      { orderBy: { id: 'asc' }, fields: ['id', 'parts'] as never },
    );
    Object.assign(one!, { id: 9 });
    await expect(decode([['Ticket', 9]], { em })).rejects.toMatchObject({ code: 'E_ENTITY_NOT_FOUND' });
    expect(await decode([['Paint', 'red']], { em })).toMatchObject([{ note: 'red' }]);
    expect(serializer.token(two!).primaryKey).toBe(2);
  });
});

describe('a data exception of the database', () => {
  test('is the key where the keys alone fail, and spares the transaction', async () => {
    for (const token of [
      ['Paint', 'green'],
      ['Price', 'much'],
    ]) {
      const error = await failureOf(() => decode([token]));
      expect([error.code, error.path, (error.cause as { code: string }).code, error.tokens[0]!.model]).toEqual([
        'E_MALFORMED',
        '$[0]',
        '22P02',
        token[0],
      ]);
      await orm.em.fork().transactional(async (em) => {
        expect((await failureOf(() => decode([token, ['Paint', 'red']], { em }))).code).toBe('E_MALFORMED');
        expect(await em.count(Paint)).toBe(1);
      });
    }
    // Of a value that the domain's check refuses there is no row.
    expect(await decode([['Price', '-1']], { missing: 'null' })).toEqual([null]);
  });

  test('is that of an enum whose label was renamed: tokens of before are refused, those of after find the row', async () => {
    const rename = (from: string, to: string) =>
      orm.em.fork().getConnection().execute(`alter type colour rename value '${from}' to '${to}'`);
    await rename('red', 'crimson');
    const error = await failureOf(() => decode([['Paint', 'red']]));
    expect([error.code, error.path, (error.cause as { code: string }).code]).toEqual(['E_MALFORMED', '$[0]', '22P02']);
    expect(await decode([['Paint', 'crimson']])).toMatchObject([{ note: 'red' }]);
    await rename('crimson', 'red');
  });

  test('of a formula passes through', async () => {
    const failed = decode([['Ticket', 2]]);
    await expect(failed).rejects.toMatchObject({ name: 'DriverException', code: '22012' });
    await expect(orm.em.fork().transactional((em) => decode([['Ticket', 2]], { em }))).rejects.toMatchObject({
      name: 'DriverException',
      code: '22012',
    });
    expect(await decode([['Ticket', 1]])).toMatchObject([{ id: 1, share: 25 }]);
  });

  test("of a filter's parameter passes through", async () => {
    const em = orm.em.fork();
    em.setFilterParams('since', { day: 'some day' });
    await expect(decode([['Ticket', 1]], { em, filters: { Ticket: { since: true } } })).rejects.toMatchObject({
      name: 'DriverException',
      code: '22007',
    });
  });

  test('of a row policy passes through', async () => {
    const sql = (text: string) => orm.em.fork().getConnection().execute(text);
    await sql(`
      alter table paint enable row level security;
      create policy mine on paint using (length(note) = current_setting('app.length', true)::int);
      do $$ begin create role reader; exception when duplicate_object then null; end $$;
      grant select on all tables in schema public to reader`);
    const read = (length: string) =>
      orm.em.fork().transactional(async (em) => {
        await em.getConnection().execute(`set local role reader`, [], 'run', em.getTransactionContext());
        await em.getConnection().execute(`set local app.length = '${length}'`, [], 'run', em.getTransactionContext());
        return decode<Paint>([['Paint', 'red']], { em, missing: 'null' });
      });
    expect(await read('3')).toMatchObject([{ note: 'red' }]);
    expect(await read('4')).toEqual([null]);
    await expect(read('')).rejects.toMatchObject({ name: 'DriverException', code: '22P02' });
    await sql('drop policy mine on paint; alter table paint disable row level security');
  });
});

test('a key that the database generates is that of its row, once it is flushed', async () => {
  class Slug {
    declare code: string;
    declare title: string;
  }
  const code = { type: 'string', columnType: 'text', generated: '(lower(title)) stored', primary: true };
  const slug = new EntitySchema({ class: Slug, properties: { title: { type: 'string' }, code } } as never);
  const own = makeOrm({ clientUrl: database.url, entities: [slug] });
  const sql = 'create table slug (title text, code text generated always as (lower(title)) stored primary key)';
  await orm.em.fork().getConnection().execute(sql);
  const by = new EntitySerializer(own);
  const em = own.em.fork();
  const made = em.create(Slug, { title: 'Ann' } as never);
  expect((await failureOf(() => by.token(made))).code).toBe('E_UNPERSISTED');
  await em.flush();
  expect(by.token(made).primaryKey).toBe('ann');
  expect(await by.deserialize(by.serialize(made), { em: own.em.fork() })).toMatchObject({ code: 'ann', title: 'Ann' });
  await own.close(true);
});

describe('types that no key is made of', () => {
  const refused =
    'money interval interval(3) json jsonb xml point box int4range datemultirange int[] _text "char" regclass pg_lsn xid8'.split(
      ' ',
    );
  class Odd {
    declare id: unknown;
  }
  class Part {
    declare id: unknown;
    declare rank: number;
  }

  test.each(refused)('%s: refused where it is serialized, with the name of property and type', async (columnType) => {
    const id = { type: 'string', columnType, runtimeType: 'string', primary: true };
    const offline = offlineOrm([
      new EntitySchema({ class: Odd, properties: { id } } as never),
      new EntitySchema({ class: Part, properties: { id, rank: { type: 'number', primary: true } } } as never),
    ]);
    const own = new EntitySerializer(offline);
    const em = offline.em.fork();
    for (const entity of [em.merge(Odd, { id: '1' }), em.merge(Part, { id: '1', rank: 1 })]) {
      const error = await failureOf(() => own.serialize([entity]));
      expect([error.code, error.path]).toEqual(['E_UNSERIALIZABLE', '$[0]']);
      expect(error.message).toContain(`its property id is of type ${columnType}: `);
    }
    const error = await failureOf(() => own.decode(payload(['Odd', '1']) as never, { em }));
    expect([error.code, error.message.includes(`of type ${columnType}`)]).toEqual(['E_MALFORMED', true]);
  });
});

describe('a type that MikroORM converts in SQL', () => {
  class Stored extends Type<string, string> {
    override convertToDatabaseValueSQL(key: string): string {
      return `lower(${key})`;
    }
    override getColumnType(): string {
      return 'varchar(20)';
    }
  }
  class Read extends Type<string, string> {
    override convertToJSValueSQL(key: string): string {
      return `upper(${key})`;
    }
    override getColumnType(): string {
      return 'varchar(20)';
    }
  }
  class Label {
    declare id: string;
  }
  class LabelPart {
    declare id: string;
    declare rank: number;
  }
  class Labelled {
    declare label: Label;
    declare rank: number;
  }

  test.each([Stored, Read])('%p: refused as a key, as a part of one and in a foreign key', async (type) => {
    const rank = { type: 'number', primary: true } as const;
    const labels = [
      new EntitySchema<Label>({ class: Label, properties: { id: { type, primary: true } } }),
      new EntitySchema<LabelPart>({ class: LabelPart, properties: { id: { type, primary: true }, rank } }),
      new EntitySchema<Labelled>({
        class: Labelled,
        properties: { label: { kind: 'm:1', entity: () => Label, primary: true }, rank },
      }),
    ];
    const own = await openDatabase(labels);
    const em = own.orm.em.fork();
    const label = em.create(Label, { id: 'Ann' });
    const entities = [label, em.create(LabelPart, { id: 'Ann', rank: 1 }), em.create(Labelled, { label, rank: 1 })];
    await em.flush();
    // Why: the key in memory is not the one in the database, or not the one that is read.
    const [found] = await own.orm.em.fork().find(Label, {});
    expect(found!.id).not.toBe(label.id);
    const by = new EntitySerializer(own.orm);
    for (const entity of entities) {
      for (const write of [() => by.serialize(entity), () => by.token(entity), () => by.dedupeKey(entity)]) {
        const error = await failureOf(write);
        expect([error.code, error.message]).toEqual([
          'E_UNSERIALIZABLE',
          expect.stringMatching(/property id is of a type that is converted in SQL/),
        ]);
      }
    }
    const error = await failureOf(() => by.decode(payload(['Label', 'ann']) as never, { em: own.orm.em.fork() }));
    expect([error.code, error.message]).toEqual(['E_MALFORMED', expect.stringContaining('converted in SQL')]);
    await own.close();
  });
});

test('a foreign key of which MikroORM reads but a part is refused where it is serialized, with the name of the property', async () => {
  const [Pair, Single, Halved, Below] = ['Pair', 'Single', 'Halved', 'Below'].map(
    (name) => ({ [name]: class {} })[name]!,
  );
  const number = { type: 'number', primary: true };
  const to = (entity: unknown) => ({ kind: 'm:1', entity: () => entity, primary: true });
  const offline = offlineOrm([
    new EntitySchema({ class: Pair, properties: { a: number, b: number } } as never),
    new EntitySchema({ class: Single, properties: { pair: to(Pair) } } as never),
    new EntitySchema({ class: Halved, properties: { of: to(Single), rank: number } } as never),
    new EntitySchema({ class: Below, properties: { halved: to(Halved), step: number } } as never),
  ]);
  const own = new EntitySerializer(offline);
  const em = offline.em.fork();
  const read = (type: unknown, row: object): object => em.map(type as never, row as never);
  expect(own.token(read(Single, { pair_a: 1, pair_b: 2 })).primaryKey).toEqual([1, 2]);
  for (const [entity, property] of [
    [read(Halved, { of_pair_a: 1, of_pair_b: 2, rank: 3 }), 'of'],
    [read(Below, { halved_of_pair_a: 1, halved_of_pair_b: 2, halved_rank: 3, step: 4 }), 'halved'],
  ] as const) {
    const error = await failureOf(() => own.serialize([entity]));
    expect([error.code, error.path]).toEqual(['E_UNSERIALIZABLE', '$[0]']);
    expect(error.message).toContain(`its property ${property} is a foreign key to a key that is one itself`);
  }
});

test('an instant as text that names no zone is refused: it is of that of the session, which nobody here knows', async () => {
  const { Instant } = { Instant: class {} };
  const id = { type: 'string', runtimeType: 'string', columnType: 'timestamptz', primary: true };
  const offline = offlineOrm([new EntitySchema({ class: Instant, properties: { id } } as never)]);
  const own = new EntitySerializer(offline);
  const keyOf = (text: string): unknown =>
    own.token(offline.em.fork().merge(Instant, { id: text } as never)).primaryKey;
  expect(keyOf('2026-01-02 03:04:05+02')).toEqual(new Date('2026-01-02T01:04:05Z'));
  for (const text of ['2026-01-02 03:04:05', '2026-01-02T03:04:05.123456']) {
    expect((await failureOf(() => keyOf(text))).code).toBe('E_UNSERIALIZABLE');
  }
});
