import { types } from 'node:util';
import { isStorable } from '../text.ts';
import type { JsonValue } from '../wire/json.ts';
import { readKeyValue, writeKeyValue } from '../wire/token.ts';

/**
 * How values of one kind of column travel in a key. Chosen by the column's type and never by the JavaScript mode of
 * the property, so that producer and consumer may map a bigint differently and still mean the same row.
 *
 * MikroORM inlines parameters into the SQL text: `read` is the boundary that untrusted keys must not pass unchecked.
 */
export interface KeyColumn {
  /** What the wire form is, for error messages. */
  readonly expected: string;
  /** From the database form to the wire, or undefined when the value is none of this column's. */
  write(value: unknown): JsonValue | undefined;
  /**
   * From the wire to the database form, or undefined when it is not a value of this type and range. The shape of the
   * wire form has been checked by readTokenBody.
   */
  read(wire: JsonValue): unknown;
  /** Equal for equal rows: `1.50` and `1.5` are one decimal, `A0EE…` and `a0ee…` one uuid. */
  canonical(wire: JsonValue): string | number;
}

const plain = (wire: JsonValue): string | number => wire as string | number;

export function integer(name: string, min: number, max: number): KeyColumn {
  const read = (wire: JsonValue): number | undefined =>
    Number.isInteger(wire) && (wire as number) >= min && (wire as number) <= max ? (wire as number) : undefined;
  return {
    expected: `an integer that fits ${name}`,
    write: (value) => read(typeof value === 'number' ? value + 0 : (toInteger(value) as JsonValue)),
    read,
    canonical: plain,
  };
}

/** An integer that JavaScript holds as text or bigint, as a number where that is exact. */
function toInteger(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  return typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
}

/** An integer that is a bigint to JavaScript; `short` matches the spellings that fit for certain. */
export function bigInteger(name: string, min: bigint, max: bigint, short: RegExp): KeyColumn {
  const fits = (value: bigint): boolean => value >= min && value <= max;
  const canonical = (wire: JsonValue): string => (wire as { readonly $bigint: string }).$bigint;
  return {
    expected: `{"$bigint":"…"} that fits ${name}`,
    write(value) {
      if (typeof value === 'string' && short.test(value)) return { $bigint: value };
      // Any other form; a number only where JavaScript has not rounded it.
      const isInteger = typeof value === 'number' ? Number.isSafeInteger(value) : /^-?\d{1,19}$/.test(String(value));
      const integer = isInteger ? BigInt(String(value)) : undefined;
      return integer !== undefined && fits(integer) ? { $bigint: integer.toString() } : undefined;
    },
    read(wire) {
      const text = (wire as { readonly $bigint?: unknown }).$bigint;
      if (typeof text === 'string' && short.test(text)) return text;
      const value = readKeyValue(wire);
      return typeof value === 'bigint' && fits(value) ? canonical(wire) : undefined;
    },
    canonical,
  };
}

/** MikroORM's database form of nearly every bigint is one of up to 18 digits. */
const int8 = bigInteger('int8', -(2n ** 63n), 2n ** 63n - 1n, /^(?:0|-?[1-9]\d{0,17})$/);

export function text(
  expected: string,
  isValid: (value: string) => boolean,
  canonical: (value: string) => string,
): KeyColumn {
  const read = (wire: JsonValue): string | undefined =>
    typeof wire === 'string' && isStorable(wire) && isValid(wire) ? wire : undefined;
  return {
    expected,
    write(value) {
      const wire = read(value as JsonValue);
      return wire === undefined ? undefined : canonical(wire);
    },
    read,
    canonical: (wire) => canonical(wire as string),
  };
}

export const same = (value: string): string => value;

const lowerCase = (value: string): string => value.toLowerCase();

export const anyText = text('a string without NUL or lone surrogates', () => true, same);

export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

const uuid = text('a uuid', (value) => UUID.test(value), lowerCase);

/** PostgreSQL pads char(n) with spaces that its comparisons ignore. */
const paddedText = text(
  anyText.expected,
  () => true,
  (value) => value.replace(/ +$/, ''),
);

const caselessText = text(anyText.expected, () => true, lowerCase);

const DECIMAL = /^-?\d{1,131072}(?:\.\d{1,16383})?$/;

const decimal = decimalNumber('a decimal number as a string', () => true);

/** A decimal number that JavaScript holds as text or as a number. */
export function decimalNumber(expected: string, isValid: (value: string) => boolean): KeyColumn {
  const column = text(expected, (value) => DECIMAL.test(value) && isValid(value), normalDecimal);
  const toText = (value: unknown): unknown =>
    typeof value === 'number' || typeof value === 'bigint' ? String(value) : value;
  return { ...column, write: (value) => column.write(toText(value)) };
}

/** The shortest spelling: no leading or trailing zeros, no negative zero. */
export function normalDecimal(value: string): string {
  const [, sign, whole, fraction = ''] = /^(-?)0*(\d*?)(?:\.(\d*?)0*)?$/.exec(value)!;
  const digits = `${whole === '' ? '0' : whole}${fraction === '' ? '' : `.${fraction}`}`;
  return digits === '0' ? digits : sign + digits;
}

const bytes: KeyColumn = {
  expected: '{"$bytes":"…"}',
  write: (value) => (types.isUint8Array(value) ? writeKeyValue(value) : undefined),
  read(wire) {
    const value = readKeyValue(wire);
    return types.isUint8Array(value) ? Buffer.from(value) : undefined;
  },
  canonical: (wire) => (wire as { $bytes: string }).$bytes,
};

/** Years that PostgreSQL reads back in the spelling JavaScript writes. */
const isCommonYear = (value: Date): boolean => value.getUTCFullYear() >= 1 && value.getUTCFullYear() <= 9999;

function instant(expected: string, isValid: (value: Date) => boolean, toDatabase: (value: Date) => unknown): KeyColumn {
  const read = (wire: JsonValue): unknown => {
    const value = readKeyValue(wire);
    return types.isDate(value) && isCommonYear(value) && isValid(value) ? toDatabase(value) : undefined;
  };
  return {
    expected,
    write(value) {
      const isDateLike = types.isDate(value) || typeof value === 'string' || typeof value === 'number';
      const wire = isDateLike ? writeKeyValue(new Date(value as Date | string | number)) : null;
      return read(wire) === undefined ? undefined : wire;
    },
    read,
    canonical: (wire) => (wire as { $date: string }).$date,
  };
}

const MIDNIGHT = 'T00:00:00.000Z';

export const dateTime = instant(
  '{"$date":"…Z"} of the years 1 to 9999',
  () => true,
  (value) => value,
);

/** A calendar day travels as its midnight in UTC; the database form is the day alone. */
const day = instant(
  '{"$date":"…T00:00:00.000Z"} of the years 1 to 9999',
  (value) => value.toISOString().endsWith(MIDNIGHT),
  (value) => value.toISOString().slice(0, -MIDNIGHT.length),
);

const float: KeyColumn = {
  expected: 'a finite number',
  write: (value) => float.read(value as JsonValue) as JsonValue | undefined,
  read: (wire) => (typeof wire === 'number' && Number.isFinite(wire) ? wire + 0 : undefined),
  canonical: plain,
};

export const boolean: KeyColumn = {
  expected: 'true or false',
  write: (value) =>
    value === 0 || value === 1 ? value === 1 : (boolean.read(value as JsonValue) as boolean | undefined),
  read: (wire) => (typeof wire === 'boolean' ? wire : undefined),
  canonical: String,
};

const int2 = integer('int2', -(2 ** 15), 2 ** 15 - 1);

const int4 = integer('int4', -(2 ** 31), 2 ** 31 - 1);

const COLUMNS: Readonly<Record<string, KeyColumn>> = {
  ...only(int2, 'smallint', 'int2', 'smallserial', 'serial2'),
  ...only(int4, 'int', 'integer', 'int4', 'serial', 'serial4'),
  ...only(int8, 'bigint', 'int8', 'bigserial', 'serial8'),
  ...only(uuid, 'uuid'),
  ...only(paddedText, 'char', 'character', 'bpchar'),
  ...only(caselessText, 'citext'),
  ...only(decimal, 'numeric', 'decimal'),
  ...only(bytes, 'bytea', 'blob', 'binary', 'varbinary'),
  ...only(dateTime, 'timestamptz', 'timestamp', 'datetime', 'timestamp with time zone', 'timestamp without time zone'),
  ...only(day, 'date'),
  ...only(float, 'real', 'float4', 'float8', 'double precision', 'double', 'float'),
  ...only(boolean, 'boolean', 'bool'),
};

export function only(column: KeyColumn, ...names: string[]): Record<string, KeyColumn> {
  return Object.fromEntries(names.map((name) => [name, column]));
}

/** The kind of a column by its SQL type; an unknown type is text. */
export const keyColumn = (sqlType: string): KeyColumn => COLUMNS[typeName(sqlType)] ?? anyText;

/** The name of an SQL type alone: that of `varchar(36)`, or of `timestamp(3) without time zone`. */
export const typeName = (sqlType: string): string =>
  sqlType
    .toLowerCase()
    .replace(/\([^)]*\)/, '')
    .replace(/\s+/g, ' ')
    .trim();
