/** Keys that reach PostgreSQL as one array per column: the same rows, by the same index. */
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { EntitySchema } from '@mikro-orm/core';
import { EntitySerializer, type JsonValue } from 'mikro-orm-byref';
import type { TestOrm } from '../../fixtures/orm.ts';
import { openDatabase } from '../support/database.ts';

class Item {
  declare id: number;
}
class Cell {
  declare row: number;
  declare column: bigint;
}
class Wide {
  declare id: string;
}
const numeric = new EntitySchema({
  class: Wide,
  properties: { id: { type: 'decimal', columnType: 'numeric(12,4)', primary: true } },
});
const items = new EntitySchema({ class: Item, properties: { id: { type: 'integer', primary: true } } });
const cells = new EntitySchema({
  class: Cell,
  properties: { row: { type: 'integer', primary: true }, column: { type: 'bigint', primary: true } },
} as never);

let database: TestOrm;
let serializer: EntitySerializer;
beforeAll(async () => {
  database = await openDatabase([items, cells, numeric] as never, { debug: ['query', 'query-params'] });
  serializer = new EntitySerializer(database.orm);
  await execute('insert into item select generate_series(1, 1000000)');
  await execute(`insert into cell ("row", "column") select i, i * 10000000000 from generate_series(1, 200000) i`);
  await execute(`insert into wide select i + 0.5 from generate_series(1, 1000) i`);
  await execute('analyze');
});
afterAll(() => database.close());
beforeEach(() => {
  database.statements.length = 0;
});

const execute = (sql: string): Promise<{ 'QUERY PLAN': string }[]> =>
  database.orm.em.fork().getConnection().execute(sql);
const decode = (tokens: readonly JsonValue[]): Promise<object[]> =>
  serializer.decode({ $byref: 1, data: tokens.map((token) => ({ $entity: token })) } as never, {
    em: database.orm.em.fork(),
  }) as Promise<object[]>;
/** The statement that was sent, its parameters in place, as PostgreSQL plans it. */
async function plan(): Promise<string> {
  const [statement] = database.statements;
  const sql = statement!.replace(/ \[took .*/s, '');
  return (await execute(`explain ${sql}`)).map((line) => line['QUERY PLAN']).join('\n');
}

test.each([2, 100, 10_000])('%i integers: the rows, in the order of the payload, by the index', async (count) => {
  const ids = Array.from({ length: count }, (_, index) => ((index * 7_919) % 1_000_000) + 1);
  const found = await decode(ids.map((id) => ['Item', id]));
  expect(found.map((item) => (item as Item).id)).toEqual(ids);
  expect(database.statements).toHaveLength(1);
  expect(database.statements[0]).toMatch(/= any\('\{\d+,.*\}'::int4\[\]\)/);
  expect(await plan()).toMatch(/Index (?:Only )?Scan|Bitmap Index Scan/);
});

test('composite keys: one array per column, and no tuple is another', async () => {
  const token = (row: number, column: number): JsonValue => ['Cell', [row, { $bigint: `${column * 10_000_000_000}` }]];
  const found = await decode([token(3, 3), token(1, 1)]);
  expect(found).toMatchObject([{ row: 3 }, { row: 1 }]);
  expect(database.statements[0]).toMatch(
    /in \(select \* from unnest\('\{3,1\}'::int4\[\], '\{30000000000,10000000000\}'::int8\[\]\)\)/,
  );
  expect(await plan()).toMatch(/Index (?:Only )?Scan/);
  await expect(decode([token(3, 1), token(1, 3)])).rejects.toMatchObject({ code: 'E_ENTITY_NOT_FOUND' });
});

test('decimals are those of the column, and no digits more', async () => {
  expect(
    await decode([
      ['Wide', '1.5'],
      ['Wide', '2.50'],
    ]),
  ).toMatchObject([{ id: '1.5000' }, { id: '2.5000' }]);
  await expect(
    decode([
      ['Wide', '1.50001'],
      ['Wide', '2.5'],
    ]),
  ).rejects.toMatchObject({ code: 'E_MALFORMED' });
});

test('a query that fails leaves nothing behind for the next', async () => {
  await execute('alter table item rename to gone');
  await expect(
    decode([
      ['Item', 1],
      ['Item', 2],
    ]),
  ).rejects.toMatchObject({ name: 'TableNotFoundException' });
  await execute('alter table gone rename to item');
  expect(
    await decode([
      ['Item', 1],
      ['Item', 2],
    ]),
  ).toHaveLength(2);
});
