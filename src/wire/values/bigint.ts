import type { JsonValue } from '../json.ts';
import type { DecodeWalk } from './value-type.ts';

/** Digits as `toString()` of a bigint writes them. */
export const isDecimal = (text: string): boolean => /^(?:0|-?[1-9]\d*)$/.test(text);

/** `{"$bigint":"9007199254740993"}`: JSON readers round numbers beyond 2^53. */
export const bigint = {
  tag: '$bigint',
  encode: (value: bigint): string => value.toString(),
  decode: (body: JsonValue, walk: DecodeWalk): bigint => readBigInt(body) ?? walk.malformed('decimal digits'),
} as const;

/** The bigint that `toString()` wrote, or undefined. */
export function readBigInt(body: unknown): bigint | undefined {
  return typeof body === 'string' && isDecimal(body) ? BigInt(body) : undefined;
}
