import type { Platform } from '@mikro-orm/core';
import { types } from 'node:util';
import { isNamed, modifiersOf, typeName } from '../../keys/key-column.ts';
import { columnOfType, type PrimaryKey } from '../../keys/primary-key.ts';
import { isMysql, isPostgres, isSqlite } from '../../orm/platform.ts';
import type { JsonValue } from '../../wire/json.ts';
import { readKeyValue } from '../../wire/token.ts';

/** Values of all kinds of columns, the ends of their ranges among them: a column writes those that are its own. */
const VALUES: readonly unknown[] = [
  [0, -1, 2026, -(2 ** 15), 2 ** 15 - 1, -(2 ** 31), 2 ** 31 - 1, 2 ** 32 - 1, 0.5, 3e38, 1e-40, 1e300, 5e-324],
  [-(2n ** 63n), 2n ** 63n - 1n, 2n ** 53n - 1n, 1n - 2n ** 53n],
  ['', 'any text, ž', '-12345678901234567890.5', '7', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['2026-01-02 03:04:05.123456', '2026-01-02 03:04:05.123456+02'],
  ['10:20:30', '10:20:30.5', '10:20:30.123456', '10:20:30.123456+02'],
  ['10.1.2.3/8', '10.0.0.0/8', '2001:db8::1', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '0101', '010101'],
  [true, false, Uint8Array.of(1, 255), Uint8Array.of(1, 2, 3)],
  ['2026-01-02T03:04:05.678Z', '2026-01-02T03:04:05Z', '2026-01-02T00:00:00Z'].map((text) => new Date(text)),
].flat();

/**
 * A key of an earlier type, in wire form, that a part of a key does not read, or whose row has another one once its
 * column has been cast to the type of now, as MikroORM's migrations do; undefined where there is none.
 */
export function lostKey(before: string, key: PrimaryKey, part: number, platform: Platform): JsonValue | undefined {
  const now = key.types[part]!;
  const values = [...VALUES, ...endsOf(before), ...endsOf(now)];
  // A timestamp is written in the one way or the other.
  for (const held of ['Date', 'string'] as const) {
    const column = columnOfType(before, held, platform);
    const isKept = (wire: JsonValue): boolean =>
      isNamed(column, cast(spelled(wire, before, platform), before, platform), wire);
    const isFound = (wire: JsonValue): boolean => {
      if (!key.readsPart(part, wire)) return false;
      if (now === before || held !== key.heldAs(part)) return true;
      return key.isPart(part, cast(spelled(wire, before, platform), now, platform), wire);
    };
    const written = values.map((value) => column.write(value)).filter((wire) => wire !== undefined);
    const lost = written.find((wire) => !isFound(wire) && isKept(wire));
    if (lost !== undefined) return lost;
  }
  return undefined;
}

/** No index holds longer keys. */
const LONGEST = 4_096;

/** Texts and numbers as long as the modifiers of a type say, and longer by one. */
function endsOf(type: string): string[] {
  const [length = 0, scale = 0] = modifiersOf(type);
  const sizes = new Set([length, scale, length - scale].flatMap((size) => [size, size + 1]));
  return [...sizes].flatMap((size) => (size > 0 && size <= LONGEST ? ['1'.repeat(size), `1.${'5'.repeat(size)}`] : []));
}

const DECIMAL = /^(?:numeric|decimal|dec|fixed)\b/;

/** What another type gets to cast of a key: `1.50` of numeric(10,2), where the wire form is `1.5`. */
function spelled(wire: JsonValue, type: string, platform: Platform): unknown {
  const name = typeName(type);
  const value = readKeyValue(wire);
  // Of a float4 all that it really is.
  if (typeof value === 'number' && isSingle(type, platform)) return Math.fround(value);
  if (typeof value !== 'string' || isSqlite(platform)) return value;
  const [first, scale = 0] = modifiersOf(type);
  // Without a scale each value has its own.
  if (DECIMAL.test(name)) return padded(value, first === undefined && isPostgres(platform) ? LONGEST : scale);
  if (name === 'time' && isMysql(platform)) return padded(value, first ?? 0);
  if (name === 'inet' && !value.includes('/')) return `${value}/${value.includes(':') ? 128 : 32}`;
  return /^(?:timestamp|datetime)/.test(name) ? value.replace('T', ' ').replace('Z', '+00') : value;
}

/** With so many digits after the point. */
function padded(value: string, digits: number): string {
  const [whole, fraction = ''] = value.split('.') as [string, string?];
  return digits === 0 ? value : `${whole}.${fraction.padEnd(digits, '0')}`;
}

const FIXED = /^(?:char|character|nchar|national char(?:acter)?|bit)$/;
const VARYING = /^(?:bp|n|n?var|national )?char(?:acter)?\b|^(?:var)?binary$|^(?:var)?bit\b/;

/** What a type makes of a spelling before its column writes it; undefined for what it has no room for. */
function cast(value: unknown, type: string, platform: Platform): unknown {
  const name = typeName(type);
  if (isSqlite(platform) || (typeof value !== 'string' && !types.isUint8Array(value))) return value;
  const [length = FIXED.test(name) ? 1 : undefined, scale = 0] = modifiersOf(type);
  if (length === undefined) return value;
  if (typeof value !== 'string') return VARYING.test(name) ? value.subarray(0, length) : value;
  if (DECIMAL.test(name)) return wholeDigits(value) > length - scale ? undefined : value;
  if (!VARYING.test(name)) return value;
  const kept = [...value].slice(0, length).join('');
  return name === 'bit' ? kept.padEnd(length, '0') : kept;
}

const wholeDigits = (value: string): number => value.replace(/^-?0*|\..*$/g, '').length;

const isSingle = (type: string, platform: Platform): boolean =>
  isPostgres(platform) && /^(?:real|float4)$|^float\((?:\d|1\d|2[0-4])\)$/.test(type.toLowerCase());
