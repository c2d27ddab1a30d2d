import { type EntityMetadata, type EntityProperty, type Platform, raw, RawQueryFragment } from '@mikro-orm/core';
import { keyColumnNames } from './key-query.ts';
import { keyProperties } from './metadata.ts';
import { isMysql, isPostgres } from './platform.ts';

/** A condition of `em.find`, and what has to be done once it was asked, if anything. */
export interface KeyCondition {
  readonly where: unknown;
  readonly done: (() => void) | undefined;
}

/**
 * The condition that finds rows by keys in database form, one value per row or one flat tuple. On PostgreSQL one array
 * per column: MikroORM would make a criterion and a literal of each key.
 */
export function keyCondition(metadata: EntityMetadata, keys: readonly unknown[], platform: Platform): KeyCondition {
  const [first] = keys;
  // A list of one would be `in (…)`.
  if (keys.length === 1 && !Array.isArray(first)) return plain({ [metadata.primaryKeys[0]!]: operand(first) });
  const arrays = isPostgres(platform) ? arraysOf(metadata, keys) : undefined;
  if (arrays !== undefined) {
    const lists = arrays.map(({ type }) => `?::${type}[]`);
    const list = lists.length === 1 ? `any(${lists[0]})` : `(select * from unnest(${lists.join(', ')}))`;
    const literals = arrays.map(({ literal }) => literal);
    return fragment(metadata, platform, lists.length === 1 ? '=' : 'in', list, literals);
  }
  if (isMysql(platform) && keyProperties(metadata).some(isDecimal)) {
    const rows = keys.map((key) => (Array.isArray(key) ? key : [key]) as unknown[]);
    return fragment(metadata, platform, 'in', ...numberList(metadata, rows));
  }
  return plain(keys.map((key) => (Array.isArray(key) ? key.map(operand) : operand(key))));
}

/** The key's columns, compared with SQL of this library's own. */
function fragment(
  metadata: EntityMetadata,
  platform: Platform,
  operator: string,
  sql: string,
  parameters: readonly unknown[],
): KeyCondition {
  const names = keyColumnNames(metadata);
  const condition = raw(
    (alias) => {
      const columns = names.map((name) => `${platform.quoteIdentifier(alias)}.${platform.quoteIdentifier(name)}`);
      const tuple = columns.length === 1 ? columns[0] : `(${columns.join(', ')})`;
      return `${tuple} ${operator} ${sql}`;
    },
    [...parameters],
  );
  const where = { [condition as never]: [] };
  const [key] = Reflect.ownKeys(where);
  // MikroORM 6 keeps each fragment until it is used, which it is not where the query fails before.
  const { remove } = RawQueryFragment as unknown as { remove?(key: unknown): void };
  return { where, done: remove && (() => remove.call(RawQueryFragment, key)) };
}

/** MySQL compares a decimal with a list of texts as doubles, and MariaDB then finds one of two that are neighbours. */
function numberList(metadata: EntityMetadata, rows: readonly (readonly unknown[])[]): [string, unknown[]] {
  const areDecimals = keyProperties(metadata).map(isDecimal);
  const parameters: unknown[] = [];
  const tuples = rows.map((row) => {
    const parts = row.map((value, index) => {
      // Its spelling has been checked: it is digits.
      if (areDecimals[index]) return value;
      parameters.push(value);
      return '?';
    });
    return parts.length === 1 ? parts[0] : `(${parts.join(', ')})`;
  });
  return [`(${tuples.join(', ')})`, parameters];
}

const isDecimal = ({ columnTypes }: EntityProperty): boolean =>
  /^(?:decimal|numeric|dec|fixed)\b/i.test(columnTypes[0]!);

const plain = (where: unknown): KeyCondition => ({ where, done: undefined });

/** MikroORM takes a tuple with a boolean in it for nested conditions; PostgreSQL reads the word as the value. */
const operand = (value: unknown): unknown => (typeof value === 'boolean' ? String(value) : value);

interface KeyArray {
  readonly type: string;
  /** As PostgreSQL reads it: `{1,2,3}`. */
  readonly literal: string;
}

/** One array per column; undefined where a column's type, or a value, is none that goes into an array as it is. */
function arraysOf(metadata: EntityMetadata, keys: readonly unknown[]): readonly KeyArray[] | undefined {
  const arrays: KeyArray[] = [];
  for (const [index, { columnTypes }] of keyProperties(metadata).entries()) {
    const type = ARRAY_TYPES.get(columnTypes[0]!.toLowerCase().replace(/\(.*/s, ''));
    if (type === undefined) return undefined;
    const values = Array.isArray(keys[0]) ? keys.map((key) => (key as unknown[])[index]) : keys;
    if (!values.every(isBare)) return undefined;
    arrays.push({ type, literal: `{${values.join()}}` });
  }
  return arrays;
}

/** What has no quotes, commas, braces or blanks, and so needs none around it. */
const isBare = (value: unknown): boolean =>
  Number.isSafeInteger(value) || (typeof value === 'string' && /^[\da-f.-]+$/i.test(value));

const ARRAY_TYPES = new Map([
  ...['smallint', 'int2', 'smallserial'].map((name) => [name, 'int2'] as const),
  ...['int', 'integer', 'int4', 'serial'].map((name) => [name, 'int4'] as const),
  ...['bigint', 'int8', 'bigserial'].map((name) => [name, 'int8'] as const),
  ...['numeric', 'decimal'].map((name) => [name, 'numeric'] as const),
  ['uuid', 'uuid'],
  ['date', 'date'],
]);
