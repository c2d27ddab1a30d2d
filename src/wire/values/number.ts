import type { JsonValue } from '../json.ts';
import type { DecodeWalk } from './value-type.ts';

/** `{"$number":"NaN"}`, `"Infinity"`, `"-Infinity"`, `"-0"`: the numbers JSON turns into null or 0. */
export const number = {
  tag: '$number',
  encode: (value: number): string => (Object.is(value, -0) ? '-0' : String(value)),
  decode(body: JsonValue, walk: DecodeWalk): number {
    if (body === 'NaN' || body === 'Infinity' || body === '-Infinity' || body === '-0') return Number(body);
    return walk.malformed('"NaN", "Infinity", "-Infinity" or "-0"');
  },
} as const;

/** True for the numbers that JSON says as they are. */
export const isJsonNumber = (value: number): boolean => Number.isFinite(value) && !Object.is(value, -0);
