/** `byref manifest --check` says what a migration makes of keys by the types that MySQL and MariaDB have. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { EntitySchema, type EntityManager } from '@mikro-orm/core';
import { EntitySerializer, EntityToken } from 'mikro-orm-byref';
import { lostKey } from '../../src/cli/manifest/key-types.ts';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';

/** By the column's type: what properties of it hold, the ends of its range among them. */
const TYPES: Readonly<Record<string, readonly [type: string, values: readonly unknown[]]>> = {
  int: ['number', [7, -1, 2 ** 31 - 1]],
  'int unsigned': ['number', [7, 2 ** 32 - 1]],
  bigint: ['string', ['7', '-1', '9007199254740993']],
  double: ['number', [0.5, 7, 1e300]],
  'decimal(10,2)': ['string', ['1.50', '12345678.25']],
  'decimal(12,4)': ['string', ['1.5', '1.2345']],
  'decimal(9,1)': ['string', ['1.5', '3']],
  'varchar(20)': ['string', ['short', '7', 'of twenty characters']],
  'varchar(5)': ['string', ['short', '7']],
  'char(5)': ['string', ['short', '7']],
  'varchar(36)': ['string', ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'short']],
  uuid: ['string', ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']],
  time: ['string', ['10:20:30']],
  'time(3)': ['string', ['10:20:30.5', '10:20:30']],
  datetime: ['Date', [new Date('2026-01-02T03:04:05Z')]],
  'datetime(3)': ['Date', [new Date('2026-01-02T03:04:05.678Z')]],
  date: ['string', ['2026-01-02']],
  'binary(3)': ['Buffer', [Buffer.of(1, 2, 3)]],
  'binary(5)': ['Buffer', [Buffer.of(1, 2, 3, 4, 5)]],
  'varbinary(5)': ['Buffer', [Buffer.of(1, 2), Buffer.of(1, 2, 3, 4, 5)]],
  boolean: ['boolean', [true, false]],
};

interface Release {
  readonly columnType: string;
  readonly table: string;
  readonly Row: new () => { id: unknown };
  readonly schema: EntitySchema;
  readonly values: readonly unknown[];
}

const releases = Object.entries(TYPES).map(([columnType, [type, values]], index): Release => {
  const [name, table] = [`Row${index}`, `row${index}`];
  const Row = { [name]: class {} }[name]! as Release['Row'];
  const id = { type, columnType, primary: true, autoincrement: false, unsigned: false };
  const schema = new EntitySchema({ class: Row, tableName: table, properties: { id } } as never);
  return { columnType, table, Row, schema: schema as EntitySchema, values };
});

let database: TestOrm;
let serializer: EntitySerializer;
const em = (): EntityManager => database.orm.em.fork();
const execute = (sql: string): Promise<unknown> => database.orm.em.getConnection().execute(sql);

beforeAll(async () => {
  database = await openDatabase(releases.map(({ schema }) => schema) as never);
  serializer = new EntitySerializer(database.orm);
});
afterAll(() => database.close());

async function create(table: string, { columnType }: Release): Promise<void> {
  await execute(`drop table ${table}`);
  await execute(`create table ${table} (id ${columnType} primary key)`);
}

/** Whether all rows of a release are found by their tokens once their column is cast to the type of the next. */
async function areFound(before: Release, now: Release): Promise<boolean> {
  const tokens = (await em().find(before.Row, {})).map((row) => {
    const { primaryKey } = serializer.token(row);
    return new EntityToken(now.Row.name, primaryKey);
  });
  try {
    if (now !== before) {
      await create(now.table, before);
      await execute(`insert into ${now.table} select id from ${before.table}`);
      await execute(`alter table ${now.table} modify id ${now.columnType} not null`);
    }
    const found = await serializer.locateMany(tokens, { em: em(), only: [now.Row], missing: 'null' });
    return found.every((row) => row !== null);
  } catch {
    return false;
  }
}

test.each(releases)('$columnType → any type', async (before) => {
  await create(before.table, before);
  await em().insertMany(before.Row, before.values.map((id) => ({ id })) as never);
  const keyOf = ({ Row }: Release) => serializer.registry.findOrFail(Row.name).primaryKey;
  const platform = database.orm.em.getPlatform();
  const verdicts = [];
  for (const now of releases) {
    const isKept = lostKey(keyOf(before).types[0]!, keyOf(now) as never, 0, platform) === undefined;
    verdicts.push({ now: now.columnType, isKept, isFound: await areFound(before, now) });
  }
  expect(verdicts.filter(({ isKept, isFound }) => isKept !== isFound)).toEqual([]);
  expect(verdicts.some(({ isFound }) => isFound)).toBe(true);
});
