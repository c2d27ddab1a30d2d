import type { EntityManager, EntityMetadata } from '@mikro-orm/core';
import { isMysql } from './platform.ts';

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

/** Whether a backslash in a literal is the next character's escape; MySQL's and MariaDB's sql_mode says otherwise where it has NO_BACKSLASH_ESCAPES. */
export async function escapesByBackslash(em: EntityManager): Promise<boolean> {
  const [row] = await execute(em, 'select @@sql_mode as mode');
  return !String(row!['mode']).includes('NO_BACKSLASH_ESCAPES');
}

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
  // A first row of no values has the literals be of the columns' types, and collations. Of a list of its own they would
  // be text, and a citext is compared with a text as text is.
  const typed = columns.map((column) => `(select ${column} from ${table} where 1 = 0)`);
  const rows = await execute(
    em,
    `select asked.n, ${columns.map((column, index) => `stored.${column} as k${index}`).join()}
      from ${askedRows(em, typed, keys)}
      join ${table} as stored on ${columns.map((column, index) => `stored.${column} = asked.c${index}`).join(' and ')}`,
    keys.flat(),
  );
  return rows.map((row) => ({ index: Number(row['n']), stored: columns.map((_, index) => row[`k${index}`]) }));
}

/** The keys as a table of c0, c1, … and n, their place in the list; MySQL and MariaDB have but one spelling of it in common. */
function askedRows(em: EntityManager, typed: readonly string[], keys: readonly (readonly unknown[])[]): string {
  const rows = keys.map((key, index) => [...key.map(() => '?'), index].join());
  const names = typed.map((_, index) => `c${index}`);
  if (!isMysql(em.getPlatform())) {
    const all = [[...typed, -1].join(), ...rows].map((row) => `(${row})`);
    return `(values ${all.join()}) as asked (${[...names, 'n'].join()})`;
  }
  const first = [...typed.map((column, index) => `${column} as ${names[index]}`), '-1 as n'].join();
  return `(${[first, ...rows].map((row) => `select ${row}`).join(' union all ')}) as asked`;
}

/** Throws what the database throws for values that its columns can't hold: no filter, policy or formula is asked. */
export async function readAsKeys(
  em: EntityManager,
  metadata: EntityMetadata,
  schema: string | undefined,
  keys: readonly (readonly unknown[])[],
): Promise<void> {
  const names = keyColumnNames(metadata);
  if (isMysql(em.getPlatform())) {
    const columns = names.map((name) => em.getPlatform().quoteIdentifier(name)).join();
    const rows = keys.map((key) => `(${key.map(() => '?').join()})`).join();
    await execute(em, `select 1 from ${tableOf(em, metadata, schema)} where (${columns}) in (${rows})`, keys.flat());
    return;
  }
  const found = await execute(
    em,
    `select attname as name, format_type(atttypid, null) as type from pg_attribute where attrelid = ?::regclass and attname in (${names.map(() => '?').join()})`,
    [tableOf(em, metadata, schema), ...names],
  );
  const types = new Map(found.map((row) => [row['name'], row['type'] as string]));
  const row = `(${names.map((name) => `cast(? as ${types.get(name)})`).join()})`;
  await execute(em, `values ${keys.map(() => row).join()}`, keys.flat());
}
