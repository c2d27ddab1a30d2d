import type { EntityProperty } from '@mikro-orm/core';
import { decimal } from './decimal-key.ts';
import {
  anyText,
  anyValue,
  bigInteger,
  boolean,
  bytes,
  collatedText,
  exactText,
  float,
  integer,
  type KeyColumn,
  type Modifiers,
  modifiersOf,
  NONE,
  typeName,
} from './key-column.ts';
import { bits, cidr, inet, macAddress, macAddress8 } from './network-key.ts';
import { paddedText, uuid, varyingText } from './text-key.ts';
import { day, time, timestamp, zonedTime } from './time-key.ts';

const int2 = integer('int2', -(2 ** 15), 2 ** 15 - 1);
const int4 = integer('int4', -(2 ** 31), 2 ** 31 - 1);
const oid = integer('oid', 0, 2 ** 32 - 1);

/** MikroORM's database form of nearly every bigint is one of up to 18 digits. */
const int8 = bigInteger('int8', -(2n ** 63n), 2n ** 63n - 1n, /^(?:0|-?[1-9]\d{0,17})$/);

/** A column of which values, or most, are known by their looks to be spelled as PostgreSQL itself spells them. */
const asSpelled = (column: KeyColumn, asRead: string): KeyColumn => ({ ...column, asRead });

/** The same where it spells them otherwise than tokens do. */
const asFilled = (column: KeyColumn, asRead: string, filled: (value: string) => string): KeyColumn => ({
  ...asSpelled(column, asRead),
  filedAs: (wire) => [filled(String(column.canonical(wire)))],
});

/** The type of PostgreSQL's own names cuts them to 63 bytes, also in comparisons. */
const name = collatedText(undefined, (value) => {
  let bytes = Buffer.from(value).subarray(0, 63);
  // Not in the middle of a character.
  while (!Buffer.from(bytes.toString()).equals(bytes)) bytes = bytes.subarray(0, -1);
  return bytes.toString();
});

const single = ((): KeyColumn => {
  const column = float(nearestSingle);
  // As text, because PostgreSQL compares a float4 with a number as float8: 0.1 would be none.
  const read = (wire: Parameters<KeyColumn['read']>[0]): string | undefined => {
    const value = column.read(wire) as number | undefined;
    const fits =
      value !== undefined && Number.isFinite(Math.fround(value)) && (Math.fround(value) !== 0 || value === 0);
    return fits ? String(value) : undefined;
  };
  return { ...column, read, held: column.read, asRead: NONE, canonical: (wire) => Math.fround(wire as number) + 0 };
})();

/** The shortest number that is the same float4. */
function nearestSingle(value: number): number {
  const stored = Math.fround(value);
  if (stored === 0 && value !== 0) return Number.NaN;
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(stored.toPrecision(digits));
    if (Math.fround(short) === stored) return short;
  }
  return Number(stored.toPrecision(9));
}

const double = float();

/** `isDate` says that MikroORM makes a Date of it, which holds milliseconds. */
type Kind = (modifiers: Modifiers, isDate: boolean) => KeyColumn;

/** It fills up text to the length of the column, in characters. */
const padded: Kind = ([length]) =>
  length === undefined
    ? paddedText
    : asFilled(paddedText, `[^~\\ud800-\\udfff]{${length}}`, (value) => value.padEnd(length));

/** It writes a number with all the decimals that its column keeps, and no zero below zero. */
function numeric([precision, scale = 0]: Modifiers): KeyColumn {
  const column = decimal(undefined, undefined, precision === undefined ? undefined : scale);
  const number = '(?!-[0.]+(?:~|$))-?(?:0|[1-9]\\d*)';
  // A column without a scale keeps the zeros that it was given, of which nobody else knows.
  if (precision === undefined) return asSpelled(column, `${number}(?:\\.\\d*[1-9])?`);
  if (scale <= 0) return scale < 0 ? column : asSpelled(column, number);
  return asFilled(column, `${number}\\.\\d{${scale}}`, (value) => {
    const [whole, fraction = ''] = value.split('.');
    return `${whole}.${fraction.padEnd(scale, '0')}`;
  });
}

/** It writes a time with the seconds, and their decimals up to the last that is no zero. */
function clock([precision = 6]: Modifiers): KeyColumn {
  const fraction = precision > 0 ? `(?:\\.\\d{0,${precision - 1}}[1-9])?` : '';
  return asSpelled(time(precision), `\\d\\d:[0-5]\\d:[0-5]\\d${fraction}`);
}

/** https://www.postgresql.org/docs/current/datatype-character.html, and the words of its grammar for the same. */
const CHARACTERS = ['character', 'char', 'nchar', 'national character', 'national char'] as const;

/** By the names that PostgreSQL and MikroORM have for types. */
const COLUMNS: Readonly<Record<string, Kind>> = {
  ...named(() => int2, 'smallint', 'int2', 'smallserial', 'serial2'),
  ...named(() => int4, 'int', 'integer', 'int4', 'serial', 'serial4'),
  ...named(() => int8, 'bigint', 'int8', 'bigserial', 'serial8'),
  ...named(() => oid, 'oid'),
  ...named(() => uuid, 'uuid'),
  ...named(() => anyText, 'text', 'citext'),
  ...named(varyingText, 'varchar', ...CHARACTERS.map((type) => `${type} varying`)),
  ...named(padded, 'bpchar', ...CHARACTERS),
  ...named(() => name, 'name'),
  ...named(numeric, 'numeric', 'decimal', 'dec'),
  ...named(() => single, 'real', 'float4'),
  ...named(() => double, 'float8', 'double precision', 'double'),
  ...named(([digits]) => (digits !== undefined && digits <= 24 ? single : double), 'float'),
  ...named(() => bytes, 'bytea', 'blob', 'binary', 'varbinary'),
  ...named(() => boolean, 'boolean', 'bool'),
  ...named(() => day, 'date'),
  ...named(([precision], isDate) => timestamp(true, isDate, precision), 'timestamptz', 'timestamp with time zone'),
  ...named(
    ([precision], isDate) => timestamp(false, isDate, precision),
    'timestamp',
    'timestamp without time zone',
    'datetime',
  ),
  ...named(clock, 'time', 'time without time zone'),
  ...named(([precision]) => zonedTime(precision), 'timetz', 'time with time zone'),
  ...named(() => inet, 'inet'),
  ...named(() => cidr, 'cidr'),
  ...named(() => macAddress, 'macaddr'),
  ...named(() => macAddress8, 'macaddr8'),
  ...named(() => bits, 'bit', 'varbit', 'bit varying'),
};

function named(column: Kind, ...names: string[]): typeof COLUMNS {
  return Object.fromEntries(names.map((type) => [type, column]));
}

/** Types of PostgreSQL that no key is made of, by why. */
const REFUSED: Readonly<Record<string, string>> = {
  'how it is spelled hangs on settings of the session': 'money interval',
  'one value of it has many spellings': `
    json jsonb jsonpath xml tsvector tsquery gtsvector refcursor
    int4range int8range numrange daterange tsrange tstzrange
    int4multirange int8multirange nummultirange datemultirange tsmultirange tstzmultirange`,
  'PostgreSQL has no equality of it that a key could go by': 'point line lseg box path polygon circle xid cid aclitem',
  'it is for the insides of PostgreSQL': `
    "char" tid xid8 pg_lsn pg_snapshot txid_snapshot oidvector int2vector
    regclass regcollation regconfig regdictionary regnamespace regoper regoperator regproc regprocedure regrole regtype
    pg_node_tree pg_ndistinct pg_dependencies pg_mcv_list pg_brin_bloom_summary pg_brin_minmax_multi_summary`,
};

const WHY = new Map(
  Object.entries(REFUSED).flatMap(([why, types]) =>
    types
      .trim()
      .split(/\s+/)
      .map((type) => [type, why] as const),
  ),
);

/** Why no key is made of a type, or undefined where one is. */
export function whyRefused(sqlType: string): string | undefined {
  // Of an interval there are fields, as in `interval day to second`.
  const type = localName(sqlType).replace(/^interval .*/, 'interval');
  // `_int4` is how PostgreSQL itself calls int4[].
  const isArray = /\[\d*\]$| array$/.test(type) || (type.startsWith('_') && isKnown(type.slice(1)));
  return isArray ? 'it is an array' : WHY.get(type);
}

/** Whether this library knows the type, and need not ask the database about its values. */
export const isKnown = (sqlType: string): boolean =>
  Object.hasOwn(COLUMNS, localName(sqlType)) || whyRefused(sqlType) !== undefined;

/** The kind of a column by its SQL type. A domain, or a type of an extension, is for the database to judge. */
export function postgresKeyColumn(
  { columnTypes, nativeEnumName, runtimeType }: Pick<EntityProperty, 'columnTypes' | 'nativeEnumName' | 'runtimeType'>,
  isForeign = false,
): KeyColumn {
  // Labels are compared as they are written; which ones there are, only the database of the day knows.
  if (nativeEnumName !== undefined) return { ...exactText, unchecked: true };
  const sqlType = columnTypes[0]!;
  const kind = Object.hasOwn(COLUMNS, localName(sqlType)) ? COLUMNS[localName(sqlType)] : undefined;
  // Of a foreign key MikroORM makes a Date, whatever the property is that it points to.
  return kind === undefined ? anyValue : kind(modifiersOf(sqlType), isForeign || runtimeType === 'Date');
}

/** `pg_catalog.text collate "C"` is text. */
const localName = (sqlType: string): string => typeName(sqlType).replace(/^pg_catalog\.| collate .*$/g, '');
