import type { EntityProperty } from '@mikro-orm/core';
import {
  anyText,
  bigInteger,
  boolean,
  dateTime,
  decimalNumber,
  integer,
  type KeyColumn,
  keyColumn,
  normalDecimal,
  only,
  same,
  text,
  typeName,
  UUID,
} from './key-column.ts';

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
const decimal = decimalNumber('a decimal number of up to 15 digits as a string', (value) => {
  const digits = normalDecimal(value).replace(/[-.]/g, '').replace(/^0+/, '').replace(/0+$/, '');
  return digits.length <= 15 && !String(Number(value)).includes('e');
});

const COLUMNS: Readonly<Record<string, KeyColumn>> = {
  // A column of any integer type holds 64 bits.
  ...only(number, 'tinyint', 'smallint', 'int2', 'mediumint', 'int', 'integer', 'int4'),
  ...only(bigNumber, 'bigint', 'int8'),
  ...only(decimal, 'numeric', 'decimal'),
  // Text to SQLite: compared as it is written.
  ...only(anyText, 'char', 'character', 'bpchar', 'citext'),
  ...only(
    text('a uuid', (value) => UUID.test(value), same),
    'uuid',
  ),
};

const storedBoolean: KeyColumn = { ...boolean, read: (wire) => (typeof wire === 'boolean' ? Number(wire) : undefined) };

/**
 * The kind of a column of SQLite, where booleans and instants are integers: that they are none, only the property says.
 */
export function sqliteKeyColumn({ columnTypes, runtimeType }: EntityProperty): KeyColumn {
  const sqlType = columnTypes[0]!;
  const name = typeName(sqlType);
  if (runtimeType === 'boolean') return storedBoolean;
  if (runtimeType === 'Date' && name !== 'date') return dateTime;
  return COLUMNS[name] ?? keyColumn(sqlType);
}
