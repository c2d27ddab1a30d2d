/** What is said of databases that the tests do not run on: MikroORM's own drivers, which connect on first use. */
import { describe, expect, test } from '@jest/globals';
import { EntitySchema, Type } from '@mikro-orm/core';
import { MikroORM as Mongo } from '@mikro-orm/mongodb';
import { MikroORM as SqlServer } from '@mikro-orm/mssql';
import { ByReference, EntitySerializer } from 'mikro-orm-byref';
import { failureOf } from '../support/failure.ts';
import { offlineOrm } from '../support/offline-orm.ts';
import { warningsOf } from '../support/warnings.ts';

class Short extends Type<string, number> {
  override convertToDatabaseValue(value: string): number {
    return Number(value.slice(1));
  }
  override convertToJSValue(value: number): string {
    return `s${value}`;
  }
  override getColumnType(): string {
    return 'int';
  }
}

const KEYS = {
  number: [{ type: 'number' }, 7, 7, '7'],
  double: [{ type: 'double' }, 0.5, 0.5, '0.5'],
  string: [{ type: 'string' }, 'x', 'x', 7],
  uuid: [{ type: 'uuid' }, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 7],
  bigint: [{ type: 'bigint' }, 7n, { $bigint: '7' }, '7'],
  boolean: [{ type: 'boolean' }, true, true, 1],
  Date: [{ type: 'Date' }, new Date(0), { $date: '1970-01-01T00:00:00.000Z' }, 0],
  bytes: [{ type: 'Buffer' }, Buffer.of(1), { $bytes: 'AQ==' }, 'AQ=='],
  custom: [{ type: Short }, 's7', 7, 'seven'],
} as const;

const modelOf = (name: string): string => `Of${name}`;
const tables = Object.entries(KEYS).map(([name, [property]]) => {
  const cls = { [modelOf(name)]: class {} }[modelOf(name)] as never;
  return new EntitySchema({ class: cls, properties: { id: { ...property, primary: true } } } as never);
});
const connection = { dbName: 'nowhere', host: '127.0.0.1', port: 1 };

describe('an untested database', () => {
  const orm = new SqlServer({ entities: tables, ...connection });

  test('is told once, when the serializer is made', async () => {
    const warnings = await warningsOf(() => void new EntitySerializer(orm as never));
    expect(warnings).toEqual([
      expect.objectContaining({
        type: 'ByReferenceWarning',
        code: 'BYREF_UNTESTED_DATABASE',
        message: expect.stringContaining('MsSqlDriver'),
      }),
    ]);
  });

  test.each(Object.entries(KEYS))(
    'a key that is declared as %s is checked by that',
    async (name, [, held, wire, bad]) => {
      let serializer: EntitySerializer;
      await warningsOf(() => void (serializer = new EntitySerializer(orm as never)));
      const reference = orm.em.fork().getReference(modelOf(name) as never, held as never);
      expect(serializer!.encode(reference as object)['data']).toEqual({ $entity: [modelOf(name), wire] });
      const read = (key: unknown) =>
        serializer.decode({ $byref: 1, data: { $entity: [modelOf(name), key] } } as never, {
          em: orm.em.fork() as never,
          freshness: 'lazy',
        });
      expect(serializer!.token((await read(wire)) as object).toJSON()).toEqual({ $token: [modelOf(name), wire] });
      for (const other of [bad, null, {}, { $ne: 1 }]) {
        expect((await failureOf(() => read(other))).code).toBe('E_MALFORMED');
      }
    },
  );

  test('a key of no declared type is refused by name', async () => {
    class Thing {}
    const schema = new EntitySchema({
      class: Thing,
      properties: { id: { type: 'any', columnType: 'xml', primary: true } },
    } as never);
    const things = new SqlServer({ entities: [schema], ...connection });
    let serializer: EntitySerializer;
    await warningsOf(() => void (serializer = new EntitySerializer(things as never)));
    const reference = things.em.fork().getReference(Thing as never, 'x' as never);
    const error = await failureOf(() => serializer.encode(reference as object));
    expect([error.code, error.message]).toEqual([
      'E_UNSERIALIZABLE',
      expect.stringMatching(/id is of type xml: .*declared/),
    ]);
  });
});

test('MongoDB is refused in words', async () => {
  class Page {
    declare _id: unknown;
  }
  ByReference()(Page);
  const schema = new EntitySchema<Page>({ class: Page, properties: { _id: { type: 'ObjectId', primary: true } } });
  const orm = new Mongo({ entities: [schema], dbName: 'nowhere', clientUrl: 'mongodb://127.0.0.1:1' });
  const error = await failureOf(() => new EntitySerializer(orm as never));
  expect([error.code, error.message]).toEqual(['E_UNSUPPORTED', expect.stringMatching(/MongoDriver.*take PostgreSQL/)]);
  const page = orm.em.fork().getReference(Page, '507f1f77bcf86cd799439011' as never);
  expect((await failureOf(() => JSON.stringify(page))).code).toBe('E_UNSERIALIZABLE');
});

test('a tested one is told of by nobody', async () => {
  expect(await warningsOf(() => void new EntitySerializer(offlineOrm(tables)))).toEqual([]);
});
