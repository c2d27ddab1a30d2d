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
  /**
   * From the database form, as a property or the driver has it, to the wire: as the column stores it, whatever it was
   * spelled and however finely. Undefined when the value is none of this column's.
   */
  write(value: unknown): JsonValue | undefined;
  /**
   * From the wire to the database form, or undefined when it is not a value of this type and range. The shape of the
   * wire form has been checked by readTokenBody.
   */
  read(wire: JsonValue): unknown;
  /** What a property without a type of its own holds, where that is not what `read` gives to a query. */
  held?(wire: JsonValue): unknown;
  /** Equal where the database's `=` is: `1.50` and `1.5` are one decimal, `A0EE…` and `a0ee…` one uuid. */
  canonical(wire: JsonValue): string | number;
  /**
   * The texts by which MikroORM files values that it also finds by what a driver reads: a regular expression of a part of
   * a key, and so without `~`. Of others, which the application has spelled in its own way, it takes one row for two.
   * Not set where there is but one spelling.
   */
  readonly asRead?: string;
  /** The texts by which MikroORM may have filed a value, where that is not as a driver reads it. */
  filedAs?(wire: JsonValue): readonly string[];
  /** Only the database knows which spellings are equal, as by a collation: different canonical forms may be one row. */
  readonly asks?: boolean;
  /** Only the database knows what is a value of the type: it may refuse what `read` lets through. */
  readonly unchecked?: boolean;
}

/** Whether a value, as a driver reads it, is the key that a wire form names. */
export function isNamed(column: KeyColumn, value: unknown, wire: JsonValue): boolean {
  const own = column.write(value);
  return own !== undefined && column.canonical(own) === column.canonical(wire);
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
  return typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) + 0 : value;
}

/** An integer that is a bigint to JavaScript; `short` matches the spellings that fit for certain. */
export function bigInteger(name: string, min: bigint, max: bigint, short: RegExp): KeyColumn {
  const fits = (value: bigint): boolean => value >= min && value <= max;
  // A number is of a token from before the column was this wide.
  const canonical = (wire: JsonValue): string =>
    typeof wire === 'number' ? String(wire) : (wire as { readonly $bigint: string }).$bigint;
  return {
    expected: `{"$bigint":"…"} that fits ${name}`,
    write(value) {
      if (typeof value === 'string' && short.test(value)) return { $bigint: value };
      // Any other form; a number only where JavaScript has not rounded it.
      const isInteger = typeof value === 'number' ? Number.isSafeInteger(value) : /^-?\d{1,20}$/.test(String(value));
      const integer = isInteger ? BigInt(String(value)) : undefined;
      return integer !== undefined && fits(integer) ? { $bigint: integer.toString() } : undefined;
    },
    read(wire) {
      if (typeof wire === 'number')
        return Number.isSafeInteger(wire) && fits(BigInt(wire)) ? canonical(wire) : undefined;
      const text = (wire as { readonly $bigint?: unknown }).$bigint;
      if (typeof text === 'string' && short.test(text)) return text;
      const value = readKeyValue(wire);
      return typeof value === 'bigint' && fits(value) ? canonical(wire) : undefined;
    },
    canonical,
  };
}

/**
 * Values that are text to the driver. `normal` gives the one spelling of those that are equal, or undefined for what is
 * no value; `stored` does what the column does to a value when it is written: it rounds or cuts.
 */
export function text(
  expected: string,
  normal: (value: string) => string | undefined,
  stored: (value: string) => string = same,
): KeyColumn {
  return {
    expected,
    write(value) {
      const given = typeof value === 'string' && isStorable(value) ? normal(value) : undefined;
      return given === undefined ? undefined : normal(stored(given));
    },
    read: (wire) => (typeof wire === 'string' && isStorable(wire) ? normal(wire) : undefined),
    canonical: (wire) => normal(wire as string)!,
    ...(normal !== same || stored !== same ? { asRead: NONE } : {}),
  };
}

export const same = (value: string): string => value;

const TEXT = 'a string without NUL or lone surrogates';

/** Text that is compared by its collation, and is stored as `stored` cuts it. */
export const collatedText = (stored: (value: string) => string = same, normal = same): KeyColumn => ({
  ...text(TEXT, normal, stored),
  asks: true,
});

export const anyText = collatedText();

/** Text of which any two spellings are two values. */
export const exactText = text(TEXT, same);

/** The value without what only fills it up; no regular expression, which would be quadratic. */
export function trimEnd(value: string, filler: string): string {
  let end = value.length;
  while (end > 0 && value[end - 1] === filler) end--;
  return value.slice(0, end);
}

export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** For types of which nothing shows how the driver spells a value. */
export const NONE = '(?!)';

/** Any text, if nothing in it looks like what MikroORM puts between the parts of a key. */
export const ANY = '[^~]*';

/** A Date is filed by its text, and bytes by that of a Buffer or of a Uint8Array. */
export function filedAs(wire: JsonValue): readonly string[] {
  const value = readKeyValue(wire);
  if (!types.isUint8Array(value)) return [String(value)];
  const bytes = Buffer.from(value);
  return [bytes.toString('hex'), String(bytes), String(new Uint8Array(bytes))];
}

export const bytes: KeyColumn = {
  expected: '{"$bytes":"…"}',
  asRead: ANY,
  filedAs,
  write: (value) => (types.isUint8Array(value) ? writeKeyValue(value) : undefined),
  read(wire) {
    const value = readKeyValue(wire);
    return types.isUint8Array(value) ? Buffer.from(value) : undefined;
  },
  canonical: (wire) => (wire as { $bytes: string }).$bytes,
};

/** A finite number; `round` gives the nearest one that the column holds. */
export const float = (round: (value: number) => number = (value) => value): KeyColumn => ({
  expected: 'a finite number',
  write(given) {
    // MikroORM's own types make text of it in some places.
    const value = typeof given === 'string' && given.trim() !== '' ? Number(given) : given;
    return typeof value === 'number' && Number.isFinite(round(value)) ? round(value) + 0 : undefined;
  },
  read: (wire) => (typeof wire === 'number' && Number.isFinite(wire) ? wire + 0 : undefined),
  canonical: plain,
});

export const boolean: KeyColumn = {
  expected: 'true or false',
  write: (value) =>
    value === 0 || value === 1 ? value === 1 : (boolean.read(value as JsonValue) as boolean | undefined),
  read: (wire) => (typeof wire === 'boolean' ? wire : undefined),
  canonical: String,
};

/** Of a database whose booleans are numbers. */
export const numericBoolean: KeyColumn = {
  ...boolean,
  asRead: NONE,
  read: (wire) => (typeof wire === 'boolean' ? Number(wire) : undefined),
};

/**
 * Of a type that this library does not know, as of a domain: as the driver has the value, and as text to the database,
 * which alone knows what is one and what is equal.
 */
export const anyValue: KeyColumn = {
  expected: 'a string, number, boolean, $bytes or $date',
  // Of a bigint, which MikroORM does not take for one, drivers make text.
  write: (value) =>
    databaseText(value) === undefined
      ? undefined
      : writeKeyValue(typeof value === 'bigint' ? String(value) : (value as string)),
  read(wire) {
    const value = readKeyValue(wire);
    return types.isUint8Array(value) ? Buffer.from(value) : databaseText(value);
  },
  held: readKeyValue,
  canonical: (wire) => databaseText(readKeyValue(wire))!,
  asks: true,
  unchecked: true,
  asRead: ANY,
  filedAs,
};

function databaseText(value: unknown): string | undefined {
  if (typeof value === 'string') return isStorable(value) ? value : undefined;
  if (types.isDate(value)) return Number.isNaN(value.getTime()) ? undefined : value.toISOString();
  if (types.isUint8Array(value)) return `\\x${Buffer.from(value).toString('hex')}`;
  const isScalar = typeof value === 'boolean' || typeof value === 'bigint' || Number.isFinite(value);
  return isScalar ? String(value) : undefined;
}

export function only(column: KeyColumn, ...names: string[]): Record<string, KeyColumn> {
  return Object.fromEntries(names.map((name) => [name, column]));
}

/** The name of an SQL type alone: that of `varchar(36)`, or of `timestamp(3) without time zone`. */
export const typeName = (sqlType: string): string =>
  sqlType
    .toLowerCase()
    .replace(/\([^)]*\)/, '')
    .replace(/\s+/g, ' ')
    .trim();

/** What stands in the parentheses of a type: `[10, 2]` of `numeric(10,2)`. */
export type Modifiers = readonly number[];

export const modifiersOf = (sqlType: string): Modifiers =>
  /\(([\d\s,-]+)\)/.exec(sqlType)?.[1]!.split(',').map(Number) ?? [];
