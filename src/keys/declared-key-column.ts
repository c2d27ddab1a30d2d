import type { EntityProperty } from '@mikro-orm/core';
import {
  anyValue,
  bigInteger,
  bytes,
  exactText,
  float,
  integer,
  type KeyColumn,
  numericBoolean,
} from './key-column.ts';
import { dateTime } from './time-key.ts';

/** Checked by the property's own type. */
const custom: KeyColumn = { ...anyValue, asks: false, unchecked: false };

/** Some drivers have objects for text. */
const text: KeyColumn = {
  ...exactText,
  write: (value) => exactText.write(typeof value === 'object' && value !== null ? String(value) : value),
};

const COLUMNS: Readonly<Record<string, KeyColumn>> = {
  string: custom,
  number: integer('53 bits', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  bigint: bigInteger('64 bits', -(2n ** 63n), 2n ** 63n - 1n, /^(?:0|-?[1-9]\d{0,17})$/),
  boolean: numericBoolean,
  Date: dateTime,
  Buffer: bytes,
  Uint8Array: bytes,
};

/**
 * The kind of a column of a database that this library is not tested on: by what the property is declared to be, as what
 * its column types are is not known here, but for the names that all databases share.
 */
export function declaredKeyColumn({ columnTypes, runtimeType }: EntityProperty): KeyColumn {
  const [sqlType = ''] = columnTypes ?? [];
  if (/char|text|clob|uuid|uniqueidentifier/i.test(sqlType)) return text;
  if (/^bigint/i.test(sqlType)) return COLUMNS['bigint']!;
  if (runtimeType === 'number' && /float|double|real/i.test(sqlType)) return float();
  return COLUMNS[runtimeType] ?? custom;
}

/** Why no key is made of a property that is declared to be anything. */
export const whyUndeclared = ({ runtimeType, customType }: EntityProperty): string | undefined =>
  customType !== undefined || runtimeType === 'number' || Object.hasOwn(COLUMNS, runtimeType)
    ? undefined
    : 'on this database keys are checked by what their property is declared to be: string, number, bigint, boolean, Date, Buffer';
