/** Keys by the types that MySQL and MariaDB have, and how they compare them. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type EntityManager, EntitySchema, LockMode } from '@mikro-orm/core';
import { EntitySerializer, type JsonValue } from 'mikro-orm-byref';
import { isMikroOrm6 } from '../../fixtures/majors.ts';
import { selects, type TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';
import { driver } from '../support/driver.ts';
import { failureOf } from '../support/failure.ts';

interface Row {
  id: unknown;
  note: string;
}

interface TypeSample {
  /** Of the column; the name of the test. */
  readonly sql: string;
  readonly property: object;
  /** What is stored, as a property has it, and its wire form. */
  readonly values: readonly (readonly [stored: unknown, wire: JsonValue])[];
  /** What no value of the column is. */
  readonly refused?: readonly JsonValue[];
}

const number = (
  sql: string,
  values: readonly number[],
  refused: readonly JsonValue[],
  more: object = {},
): TypeSample => ({
  sql,
  property: { type: 'number', columnType: sql, autoincrement: false, unsigned: false, ...more },
  values: values.map((value) => [value, value]),
  refused,
});
const big = (value: string) => ({ $bigint: value });
const day = (text: string) => [new Date(text), { $date: text }] as const;

const SAMPLES: readonly TypeSample[] = [
  number('tinyint', [-128, 127], [128, -129, 0.5, '1']),
  number('tinyint unsigned', [0, 255], [256, -1]),
  number('smallint', [-32_768, 32_767], [32_768]),
  number('smallint unsigned', [65_535], [65_536, -1]),
  number('mediumint', [-8_388_608, 8_388_607], [8_388_608]),
  number('mediumint unsigned', [16_777_215], [16_777_216]),
  number('int(11)', [-2_147_483_648, 2_147_483_647], [2_147_483_648]),
  number('int(10) unsigned', [3_000_000_000, 4_294_967_295], [4_294_967_296, -1, big('1')]),
  // MikroORM has them be unsigned without a word of it in the type.
  number('int', [3_000_000_000], [4_294_967_296, -1], { unsigned: true }),
  number('year', [0, 1901, 2155], [1900, 70, 2156]),
  {
    sql: 'bigint unsigned',
    property: { type: 'bigint', columnType: 'bigint unsigned', autoincrement: false, unsigned: false },
    values: [
      [18_446_744_073_709_551_615n, big('18446744073709551615')],
      [18_446_744_073_709_551_614n, big('18446744073709551614')],
    ],
    refused: [big('18446744073709551616'), big('-1'), -1, 0.5],
  },
  {
    sql: 'bigint',
    property: { type: 'bigint', autoincrement: false, unsigned: false },
    values: [
      [-9_223_372_036_854_775_808n, big('-9223372036854775808')],
      [9_007_199_254_740_993n, big('9007199254740993')],
      [9_007_199_254_740_992n, big('9007199254740992')],
    ],
    refused: [big('9223372036854775808')],
  },
  {
    sql: 'decimal(20,4)',
    property: { type: 'decimal', precision: 20, scale: 4, autoincrement: false },
    // MikroORM 6 reads decimals of MariaDB as doubles, so that it takes two such rows for one.
    values: (isMikroOrm6 && driver === 'mariadb' ? ['12345678901'] : ['12345678901', '1234567890123456']).flatMap(
      (whole) => [
        [`${whole}.5000`, `${whole}.5`],
        [`${whole}.5001`, `${whole}.5001`],
      ],
    ) as never,
    refused: ['1e2', 1],
  },
  {
    sql: 'double',
    property: { type: 'double', autoincrement: false, unsigned: false },
    values: [
      [0.1, 0.1],
      [1e300, 1e300],
    ],
    refused: ['0.1'],
  },
  {
    sql: 'binary(4)',
    property: { type: 'Buffer', columnType: 'binary(4)' },
    values: [
      [Buffer.of(1, 2, 3, 4), { $bytes: 'AQIDBA==' }],
      // Filled up with zeros.
      [Buffer.of(1, 2), { $bytes: 'AQIAAA==' }],
    ],
    refused: ['AQI='],
  },
  {
    sql: 'datetime(3)',
    property: { type: 'Date', length: 3 },
    values: [day('2026-11-21T04:05:06.789Z'), day('1970-01-01T00:00:00.500Z')],
    refused: ['2026-11-21', 5],
  },
  {
    sql: 'timestamp(6)',
    property: { type: 'Date', columnType: 'timestamp(6)' },
    values: [day('2026-11-21T04:05:06.789Z')],
  },
  { sql: 'datetime', property: { type: 'Date' }, values: [day('2026-11-21T04:05:06.000Z')] },
  { sql: 'time', property: { type: 'time' }, values: [['10:20:30', '10:20:30']], refused: ['25:00:00', 1] },
  { sql: 'enum', property: { enum: true, items: ['red', 'green'] }, values: [['red', 'red']], refused: [1] },
  {
    sql: 'char(4)',
    property: { type: 'character', length: 4 },
    values: [
      ['ab', 'ab'],
      ['ü😀', 'ü😀'],
    ],
  },
  ...(driver === 'mariadb'
    ? [
        {
          sql: 'uuid',
          property: { type: 'string', columnType: 'uuid' },
          values: [['A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']],
          refused: ['a0ee'],
        } as const,
      ]
    : []),
];

/** One class per sample, and one whose key has a part of that type beside a boolean. */
const entities = SAMPLES.flatMap(({ property }, index) => {
  const [single, pair] = [`Single${index}`, `Pair${index}`].map((name) => ({ [name]: class {} })[name]!) as [
    never,
    never,
  ];
  const note = { type: 'string' };
  return [
    new EntitySchema({ class: single, properties: { id: { ...property, primary: true }, note } } as never),
    new EntitySchema({
      class: pair,
      properties: { id: { ...property, primary: true }, flag: { type: 'boolean', primary: true }, note },
    } as never),
  ];
});

class Country {
  declare code: string;
  declare name: string;
}
class City {
  declare id: number;
  declare country: Country;
}
class Seat {
  declare row: string;
  declare number: number;
}
class Rough {
  declare id: number;
}
class Latin {
  declare id: string;
}
class Instant {
  declare at: Date;
}
const others = [
  new EntitySchema<Country>({
    class: Country,
    properties: { code: { type: 'string', length: 20, primary: true }, name: { type: 'string' } },
  }),
  new EntitySchema<City>({
    class: City,
    properties: { id: { type: 'number', primary: true }, country: { kind: 'm:1', entity: () => Country } },
  }),
  new EntitySchema<Seat>({
    class: Seat,
    properties: { row: { type: 'string', length: 20, primary: true }, number: { type: 'number', primary: true } },
  }),
  new EntitySchema<Rough>({ class: Rough, properties: { id: { type: 'float', primary: true, autoincrement: false } } }),
  new EntitySchema<Latin>({
    class: Latin,
    properties: { id: { type: 'string', primary: true, columnType: 'varchar(20) character set latin1' } },
  }),
  new EntitySchema<Instant>({ class: Instant, properties: { at: { type: 'Date', primary: true } } }),
];

let database: TestOrm;
let serializer: EntitySerializer;
beforeAll(async () => {
  database = await openDatabase([...entities, ...others]);
  serializer = new EntitySerializer(database.orm);
});
afterAll(() => database.close());
beforeEach(async () => {
  await empty(City, Country, Seat, Latin, Instant, Rough);
});

/** Truncating the tables of all samples takes a second. */
async function empty(...classes: (new () => object)[]): Promise<void> {
  for (const cls of classes) await fork().nativeDelete(cls, {});
  database.statements.length = 0;
}

const fork = (): EntityManager => database.orm.em.fork();
const decode = <T>(data: unknown, options = {}): Promise<T> =>
  serializer.decode<T>({ $byref: 1, data } as never, { em: fork(), ...options }) as Promise<T>;
const token = (model: string, key: unknown) => ({ $entity: [model, key] });

describe('a key by its column', () => {
  describe.each(SAMPLES.map((sample, index) => ({ ...sample, index })))('$sql', ({ index, values, refused = [] }) => {
    const [single, pair] = [`Single${index}`, `Pair${index}`];
    beforeEach(() => empty(single as never, pair as never));

    const wires = values.map(([, wire]) => wire);

    test('is the same of a row that was written and one that was read, and finds it', async () => {
      const em = fork();
      const written = values.map(([id], at) => em.create(single as never, { id, note: `${at}` } as never));
      await em.flush();
      const expected = wires.map((wire) => token(single, wire));
      expect(serializer.encode(written)['data']).toEqual(expected);
      const rows = await fork().find(single as never, {}, { orderBy: { note: 'asc' } as never });
      expect(serializer.encode(rows)['data']).toEqual(expected);
      database.statements.length = 0;
      const back = await decode<Row[]>([...expected, ...expected]);
      expect(back.map(({ note }) => note)).toEqual([...values.keys(), ...values.keys()].map(String));
      expect(selects(database.statements)).toHaveLength(1);
      const one = await decode<Row>(expected[0]);
      expect(one.note).toBe('0');
      // Into one that has written it: the same object.
      expect(await decode(expected, { em })).toEqual(written);
      expect((await decode<Row[]>(expected, { em })).every((row, at) => row === written[at])).toBe(true);
    });

    test('beside a boolean too', async () => {
      for (const [at, [id]] of values.entries()) {
        await fork().insert(pair as never, { id, flag: at % 2 === 0, note: `${at}` } as never);
      }
      const expected = wires.map((wire, at) => token(pair, [wire, at % 2 === 0]));
      const rows = await fork().find(pair as never, {}, { orderBy: { note: 'asc' } as never });
      expect(serializer.encode(rows)['data']).toEqual(expected);
      expect((await decode<Row[]>(expected)).map(({ note }) => note)).toEqual([...values.keys()].map(String));
      expect(await decode(token(pair, [wires[0], false]), { missing: 'null' })).toBeNull();
    });

    test('what is no value of it is refused before a query', async () => {
      for (const wire of [...refused, null, {}]) {
        expect((await failureOf(() => decode(token(single, wire)))).code).toBe('E_MALFORMED');
      }
      expect(selects(database.statements)).toEqual([]);
    });
  });

  test('of an instant finer than its column none is written before the row is read', async () => {
    const em = fork();
    const fine = em.create(Instant, { at: new Date('2026-11-21T04:05:06.789Z') });
    await em.flush();
    const error = await failureOf(() => serializer.serialize(fine));
    expect([error.code, error.message]).toEqual(['E_UNSERIALIZABLE', expect.stringContaining('0 digits of a second')]);
    const [read] = await fork().find(Instant, {});
    expect(await decode(serializer.encode(read)['data'])).toMatchObject({ at: read!.at });
  });

  test('a float is refused by name', async () => {
    const em = fork();
    const rough = em.create(Rough, { id: 0.1 });
    await em.flush();
    const error = await failureOf(() => serializer.serialize(rough));
    expect([error.code, error.message]).toEqual([
      'E_UNSERIALIZABLE',
      expect.stringMatching(/id is of type float: .*double/),
    ]);
  });

  test('text that its character set does not have is a bad key, in a transaction too', async () => {
    await fork().insert(Latin, { id: 'ü' });
    expect(await decode(token('Latin', 'ü'))).toMatchObject({ id: 'ü' });
    const hostile = [token('Latin', 'ü'), token('Latin', '😀')];
    expect((await failureOf(() => decode(hostile))).code).toBe('E_MALFORMED');
    await fork().transactional(async (em) => {
      expect((await failureOf(() => decode(hostile, { em }))).code).toBe('E_MALFORMED');
      expect(await decode(hostile[0], { em })).toMatchObject({ id: 'ü' });
    });
  });
});

describe('collations', () => {
  beforeEach(async () => {
    await fork().insertMany(Country, [
      { code: 'DE', name: 'Germany' },
      { code: 'FR', name: 'France' },
    ]);
    await fork().insertMany(Seat, [
      { row: 'A', number: 1 },
      { row: 'A', number: 2 },
      { row: 'B', number: 1 },
    ]);
    database.statements.length = 0;
  });

  test('a row is found by each spelling that the database takes for its key, and is one object', async () => {
    // Trailing blanks are nothing to MariaDB, and to MySQL’s older collations.
    const spellings = ['DE', 'de', 'De', 'dE', ...(driver === 'mariadb' ? ['DE ', 'de  '] : [])];
    for (const spelling of spellings) expect(await decode(token('Country', spelling))).toMatchObject({ code: 'DE' });
    const back = await decode<Country[]>([...spellings, 'fr'].map((code) => token('Country', code)));
    expect(back.map(({ code }) => code)).toEqual([...spellings.map(() => 'DE'), 'FR']);
    expect(new Set(back).size).toBe(2);
  });

  test('and one that is not there is missing, among as many', async () => {
    const tokens = ['de', 'xx', 'fr', 'D'].map((code) => token('Country', code));
    const back = await decode<(Country | null)[]>(tokens, { missing: 'null' });
    expect(back.map((row) => row?.code ?? null)).toEqual(['DE', null, 'FR', null]);
    expect((await failureOf(() => decode(tokens))).tokens.map(({ primaryKey }) => primaryKey)).toEqual(['xx', 'D']);
  });

  test('in a composite key too', async () => {
    const keys = [
      ['a', 1],
      ['A', 2],
      ['b', 1],
      ['b', 2],
    ];
    const back = await decode<(Seat | null)[]>(
      keys.map((key) => token('Seat', key)),
      { missing: 'null' },
    );
    expect(back.map((seat) => seat && [seat.row, seat.number])).toEqual([['A', 1], ['A', 2], ['B', 1], null]);
  });

  test('a foreign key may be spelled otherwise than the key that it points to', async () => {
    await fork().getConnection().execute(`insert into city (id, country_code) values (1, 'de')`);
    const city = await fork().findOneOrFail(City, 1);
    expect(await decode(serializer.encode(city.country)['data'])).toMatchObject({ code: 'DE', name: 'Germany' });
  });

  test('many keys that are not there take one query more', async () => {
    const keys = Array.from({ length: 3_000 }, (_, index) => token('Country', `x${index}`));
    const back = await decode<unknown[]>([token('Country', 'de'), ...keys], { missing: 'omit' });
    expect(back).toHaveLength(1);
    expect(selects(database.statements)).toHaveLength(2);
  });
});

describe('quotes and backslashes', () => {
  test('are data', async () => {
    const codes = [`x' or 1=1 -- `, `x\\' or 1=1 -- `, '\\', `'`, `\\\\'"`];
    await fork().insertMany(
      Country,
      codes.map((code) => ({ code, name: code })),
    );
    const back = await decode<Country[]>(codes.map((code) => token('Country', code)));
    expect(back.map(({ name }) => name)).toEqual(codes);
    expect(await decode(token('Country', `y\\' or 1=1 -- `), { missing: 'null' })).toBeNull();
  });

  test('are refused where a backslash escapes nothing, before they reach a query', async () => {
    const own = await openDatabase(others, { pool: { min: 1, max: 1 } });
    await own.orm.em.getConnection().execute(`set session sql_mode = 'NO_BACKSLASH_ESCAPES'`);
    const refusing = new EntitySerializer(own.orm);
    const read = (code: string) =>
      refusing.decode({ $byref: 1, data: token('Country', code) } as never, { em: own.orm.em.fork(), missing: 'null' });
    expect(await read('plain')).toBeNull();
    own.statements.length = 0;
    const error = await failureOf(() => read(`\\' or 1=1 -- `));
    expect([error.code, error.message]).toEqual(['E_UNSUPPORTED', expect.stringContaining('NO_BACKSLASH_ESCAPES')]);
    expect(selects(own.statements)).toEqual([]);
    await own.close();
  });
});

describe('REPEATABLE READ', () => {
  beforeEach(async () => {
    await fork().insertMany(Country, [
      { code: 'DE', name: 'Germany' },
      { code: 'FR', name: 'France' },
    ]);
  });

  test('a transaction sees what it has begun to read, and with lockMode what is current', async () => {
    await fork().transactional(async (em) => {
      await em.findOneOrFail(Country, { code: 'FR' });
      await fork().nativeUpdate(Country, { code: 'DE' }, { name: 'new' });
      await fork().insert(Country, { code: 'IT', name: 'Italy' });
      expect(await decode(token('Country', 'DE'), { em })).toMatchObject({ name: 'Germany' });
      const error = await failureOf(() => decode(token('Country', 'IT'), { em }));
      expect([error.code, error.message]).toEqual([
        'E_ENTITY_NOT_FOUND',
        expect.stringMatching(/snapshot.*READ COMMITTED/),
      ]);
      const lockMode = LockMode.PESSIMISTIC_READ;
      expect(await decode(token('Country', 'DE'), { em, lockMode })).toMatchObject({ name: 'new' });
      expect(await decode(token('Country', 'IT'), { em, lockMode })).toMatchObject({ name: 'Italy' });
    });
  });

  test('SKIP LOCKED takes a row that is deleted since for missing, and only one that is locked for locked', async () => {
    const lockMode = LockMode.PESSIMISTIC_PARTIAL_WRITE;
    await fork().transactional(async (em) => {
      await em.find(Country, {});
      await fork().nativeDelete(Country, { code: 'DE' });
      const missing = await failureOf(() => decode(token('Country', 'DE'), { em, lockMode }));
      expect([missing.code, missing.message]).toEqual(['E_ENTITY_NOT_FOUND', expect.not.stringContaining('snapshot')]);
      await fork().transactional(async (holder) => {
        await holder.findOneOrFail(Country, { code: 'FR' }, { lockMode: LockMode.PESSIMISTIC_WRITE });
        const both = ['DE', 'FR'].map((code) => token('Country', code));
        const error = await failureOf(() => decode(both, { em, lockMode }));
        expect([error.code, error.tokens.map(({ primaryKey }) => primaryKey)]).toEqual(['E_LOCKED', ['FR']]);
      });
      // The transaction goes on.
      expect(await decode(token('Country', 'FR'), { em, lockMode })).toMatchObject({ code: 'FR' });
    });
  });

  test.each([LockMode.PESSIMISTIC_PARTIAL_READ, LockMode.PESSIMISTIC_READ_OR_FAIL])(
    'the shared lock %p, which MikroORM can’t write there, is refused before a query',
    async (lockMode) => {
      await fork().transactional(async (em) => {
        database.statements.length = 0;
        expect((await failureOf(() => decode(token('Country', 'DE'), { em, lockMode }))).code).toBe('E_UNSUPPORTED');
        expect(selects(database.statements)).toEqual([]);
      });
    },
  );
});
