import type { EntityManager, EntityMetadata } from '@mikro-orm/core';

/** The SQL part of an EntityManager and its driver, the same in both majors. */
interface Sql {
  getDriver(): {
    getTableName(metadata: EntityMetadata, options: { readonly schema?: string | undefined }): string;
  };
  getConnection(type: 'write'): {
    execute(sql: string, parameters: readonly unknown[], method: 'all', transaction: unknown): Promise<Row[]>;
  };
}

type Row = Readonly<Record<string, unknown>>;

/** The columns of a key, in the order of its flat values. */
export const keyColumnNames = (metadata: EntityMetadata): string[] =>
  metadata.primaryKeys.flatMap((name) => metadata.properties[name]!.fieldNames);

/** Runs SQL in the transaction of the EntityManager, where it is in one; `?` stands for a value. */
export const execute = (em: EntityManager, sql: string, values: readonly unknown[] = []): Promise<readonly Row[]> =>
  (em as unknown as Sql)
    .getConnection('write')
    .execute(sql, values.map(operand), 'all', em.getTransactionContext<unknown>());

const operand = (value: unknown): unknown => (typeof value === 'boolean' ? String(value) : value);

const tableOf = (em: EntityManager, metadata: EntityMetadata, schema: string | undefined): string =>
  (em as unknown as Sql).getDriver().getTableName(metadata, { schema });

/** Of each key that is in the table, its place in the list and the values that are stored. Past filters, in one query. */
export async function storedKeys(
  em: EntityManager,
  metadata: EntityMetadata,
  schema: string | undefined,
  keys: readonly (readonly unknown[])[],
): Promise<{ readonly index: number; readonly stored: readonly unknown[] }[]> {
  const table = tableOf(em, metadata, schema);
  const columns = keyColumnNames(metadata).map((name) => em.getPlatform().quoteIdentifier(name));
  // A first row of no values has the literals be of the columns' types. Of a list of its own they would be text, and a
  // citext is compared with a text as text is.
  const typed = columns.map((column) => `(select ${column} from ${table} where 1 = 0)`);
  const asked = keys.map((_, index) => `(${[...columns.map(() => '?'), index].join()})`);
  const rows = await execute(
    em,
    `select asked.column${columns.length + 1} as n, ${columns.map((column, index) => `stored.${column} as k${index}`).join()}
      from (values (${[...typed, -1].join()}), ${asked.join()}) as asked
      join ${table} as stored on ${columns.map((column, index) => `stored.${column} = asked.column${index + 1}`).join(' and ')}`,
    keys.flat(),
  );
  return rows.map((row) => ({ index: Number(row['n']), stored: columns.map((_, index) => row[`k${index}`]) }));
}

/** Throws what PostgreSQL throws for values that its columns can't hold: no row, filter, policy or formula is asked. */
export async function readAsKeys(
  em: EntityManager,
  metadata: EntityMetadata,
  schema: string | undefined,
  keys: readonly (readonly unknown[])[],
): Promise<void> {
  const names = keyColumnNames(metadata);
  const found = await execute(
    em,
    `select attname as name, format_type(atttypid, null) as type from pg_attribute where attrelid = ?::regclass and attname in (${names.map(() => '?').join()})`,
    [tableOf(em, metadata, schema), ...names],
  );
  const types = new Map(found.map((row) => [row['name'], row['type'] as string]));
  const row = `(${names.map((name) => `cast(? as ${types.get(name)})`).join()})`;
  await execute(em, `values ${keys.map(() => row).join()}`, keys.flat());
}
