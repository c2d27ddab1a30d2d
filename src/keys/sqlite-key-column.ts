import type { EntityProperty } from '@mikro-orm/core';
import { decimal } from './decimal-key.ts';
import {
  anyText,
  bigInteger,
  boolean,
  bytes,
  exactText,
  float,
  integer,
  type KeyColumn,
  numericBoolean,
  only,
  trimEnd,
  typeName,
} from './key-column.ts';
import { uuidIn } from './text-key.ts';
import { dateTime, day } from './time-key.ts';

/** Drivers of SQLite hand out numbers, so that of two large integers the one is read as the other. */
const EXACT = '53 bits, the most that a driver of SQLite reads exactly';

const number = integer(EXACT, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);

const bigNumber = bigInteger(
  EXACT,
  BigInt(Number.MIN_SAFE_INTEGER),
  BigInt(Number.MAX_SAFE_INTEGER),
  /^(?:0|-?[1-9]\d{0,14})$/,
);

/** SQLite keeps decimals as doubles. */
const double = decimal('a decimal number of up to 15 digits as a string', (normal) => {
  const digits = trimEnd(normal.replace(/[-.]/g, '').replace(/^0+/, ''), '0');
  return digits.length <= 15 && !String(Number(normal)).includes('e');
});

/** Any other is text to SQLite. */
const COLUMNS: Readonly<Record<string, KeyColumn>> = {
  // A column of any integer type holds 64 bits.
  ...only(number, 'tinyint', 'smallint', 'int2', 'mediumint', 'int', 'integer', 'int4'),
  ...only(bigNumber, 'bigint', 'int8'),
  ...only(double, 'numeric', 'decimal'),
  ...only(uuidIn(exactText), 'uuid'),
  ...only(bytes, 'bytea', 'blob', 'binary', 'varbinary'),
  ...only(dateTime, 'timestamptz', 'timestamp', 'datetime'),
  ...only(day, 'date'),
  ...only(float(), 'real', 'float4', 'float8', 'double precision', 'double', 'float'),
  ...only(boolean, 'boolean', 'bool'),
};

/**
 * The kind of a column of SQLite, where booleans and instants are integers: that they are none, only the property says.
 */
export function sqliteKeyColumn({ columnTypes, runtimeType }: EntityProperty): KeyColumn {
  const name = typeName(columnTypes[0]!);
  if (runtimeType === 'boolean') return numericBoolean;
  if (runtimeType === 'Date' && name !== 'date') return dateTime;
  // Compared as it is written, where the column does not say another collation.
  return COLUMNS[name] ?? (/ collate (?!binary)/i.test(columnTypes[0]!) ? anyText : exactText);
}
