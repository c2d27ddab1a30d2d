import { type EntityProperty, type Platform, UuidType } from '@mikro-orm/core';
import { decimal } from './decimal-key.ts';
import {
  anyText,
  anyValue,
  bigInteger,
  bytes,
  collatedText,
  float,
  integer,
  type KeyColumn,
  type Modifiers,
  modifiersOf,
  NONE,
  numericBoolean,
  typeName,
} from './key-column.ts';
import { paddedText, uuid, uuidIn, varyingText } from './text-key.ts';
import { day, time, timestamp } from './time-key.ts';

interface Column {
  readonly modifiers: Modifiers;
  readonly isUnsigned: boolean;
  /** MikroORM makes a Date of it. */
  readonly isDate: boolean;
  readonly platform: Platform;
}

type Kind = (column: Column) => KeyColumn;

/** An integer of so many bits, as a number. */
const small = (name: string, bits: number): Kind => {
  const signed = integer(name, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1);
  const unsigned = integer(`${name} unsigned`, 0, 2 ** bits - 1);
  return ({ isUnsigned }) => (isUnsigned ? unsigned : signed);
};

const SHORT = /^(?:0|-?[1-9]\d{0,17})$/;
const signedBig = bigInteger('bigint', -(2n ** 63n), 2n ** 63n - 1n, SHORT);
const unsignedBig = bigInteger('bigint unsigned', 0n, 2n ** 64n - 1n, /^(?:0|[1-9]\d{0,18})$/);

/** Below 100 a number is another year to MySQL: 70 is 1970. */
const year: KeyColumn = (() => {
  const column = integer('year', 0, 2155);
  const read: KeyColumn['read'] = (wire) => (wire === 0 || (wire as number) > 1900 ? column.read(wire) : undefined);
  return { ...column, read, write: (value) => read(column.write(value) as number) as number | undefined };
})();

/** The stored value of binary(n) is of n bytes, filled up with zeros. */
const binary = (length: number): KeyColumn => ({
  ...bytes,
  asRead: NONE,
  expected: `${bytes.expected} of ${length} bytes`,
  write(value) {
    const wire = bytes.write(value);
    const given = wire === undefined ? undefined : (bytes.read(wire) as Buffer);
    if (given === undefined || given.length > length) return undefined;
    return bytes.write(Buffer.concat([given, Buffer.alloc(length - given.length)]));
  },
});

/**
 * A column that keeps fewer digits of a second than a value has cuts them on MariaDB, and rounds on MySQL: what a token
 * would have to name, nobody here knows until the row is read.
 */
function exact(column: KeyColumn, stored: KeyColumn, digits: number): KeyColumn {
  return {
    ...column,
    expected: `${column.expected}, with no more than the ${digits} digits of a second that its column keeps`,
    write(value) {
      const [given, kept] = [column.write(value), stored.write(value)];
      const isKept = given !== undefined && kept !== undefined && column.canonical(given) === column.canonical(kept);
      return isKept ? given : undefined;
    },
  };
}

const clock: Kind = ({ modifiers: [digits = 0] }) => exact(time(), time(digits), digits);

const instant: Kind = ({ modifiers: [digits = 0], isDate, platform }) => {
  const column = exact(timestamp(false, isDate), timestamp(false, isDate, digits), digits);
  if (!isDate) return column;
  // The driver hands out text, of the time zone that MikroORM is told of.
  return { ...column, write: (value) => column.write(typeof value === 'string' ? platform.parseDate(value) : value) };
};

/** By the names that MySQL, MariaDB and MikroORM have for types. */
const COLUMNS: Readonly<Record<string, Kind>> = {
  ...named(small('tinyint', 8), 'tinyint', 'int1'),
  ...named(small('smallint', 16), 'smallint', 'int2'),
  ...named(small('mediumint', 24), 'mediumint', 'middleint', 'int3'),
  ...named(small('int', 32), 'int', 'integer', 'int4'),
  ...named(({ isUnsigned }) => (isUnsigned ? unsignedBig : signedBig), 'bigint', 'int8'),
  ...named(() => unsignedBig, 'serial'),
  ...named(() => year, 'year'),
  ...named(() => numericBoolean, 'boolean', 'bool'),
  ...named(
    ({ modifiers: [, scale = 0] }) => decimal(undefined, undefined, scale),
    'decimal',
    'numeric',
    'dec',
    'fixed',
  ),
  ...named(() => float(), 'double', 'double precision', 'real', 'float8'),
  ...named(({ modifiers }) => varyingText(modifiers), 'varchar', 'character varying', 'nvarchar', 'varcharacter'),
  ...named(() => paddedText, 'char', 'character', 'nchar'),
  ...named(() => anyText, 'text', 'tinytext', 'mediumtext', 'longtext'),
  ...named(() => collatedText(), 'enum', 'set'),
  ...named(() => uuid, 'uuid'),
  ...named(({ modifiers: [length = 1] }) => binary(length), 'binary'),
  ...named(() => bytes, 'varbinary', 'blob', 'tinyblob', 'mediumblob', 'longblob'),
  ...named(() => day, 'date'),
  ...named(instant, 'datetime', 'timestamp'),
  ...named(clock, 'time'),
};

function named(column: Kind, ...names: string[]): typeof COLUMNS {
  return Object.fromEntries(names.map((type) => [type, column]));
}

const WHY: Readonly<Record<string, string>> = {
  float: 'no number that is written out equals what it keeps; take double',
  float4: 'no number that is written out equals what it keeps; take double',
  bit: 'its driver hands out bytes, which are no number to a query',
  json: 'one value of it has many spellings',
};

/** Why no key is made of columns of a type, or undefined. */
export function whyRefusedByMysql(sqlType: string): string | undefined {
  const { name } = parsed(sqlType);
  const isDouble = name === 'float' && modifiersOf(sqlType)[0]! > 24;
  return !isDouble && Object.hasOwn(WHY, name) ? WHY[name] : undefined;
}

const uuidText = uuidIn(anyText);

/** The kind of a column of MySQL or MariaDB. */
export function mysqlKeyColumn(property: EntityProperty, platform: Platform): KeyColumn {
  const sqlType = property.columnTypes[0]!;
  const { name, isUnsigned } = parsed(sqlType);
  if (property.runtimeType === 'boolean' && name === 'tinyint') return numericBoolean;
  if (name === 'float') return float();
  const isUuid = property.type === 'uuid' || property.customType instanceof UuidType;
  if (isUuid && name !== 'uuid') return uuidText;
  const kind = Object.hasOwn(COLUMNS, name) ? COLUMNS[name]! : () => anyValue;
  return kind({
    modifiers: modifiersOf(sqlType),
    isUnsigned: isUnsigned || property.unsigned === true,
    isDate: property.runtimeType === 'Date',
    platform,
  });
}

/** `int(10) unsigned zerofill` is int, unsigned as all that is filled with zeros; `varchar(9) collate …` is varchar. */
function parsed(sqlType: string): { readonly name: string; readonly isUnsigned: boolean } {
  const type = typeName(sqlType).replace(/ (?:collate|character set|charset) .*$/, '');
  const name = type.replace(/ (?:signed|unsigned|zerofill)\b/g, '');
  return { name, isUnsigned: / (?:unsigned|zerofill)\b/.test(type) };
}
