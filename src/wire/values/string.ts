import type { JsonValue } from '../json.ts';
import type { DecodeWalk } from './value-type.ts';

/**
 * `{"$string":"a\\u0000b"}`: a string that PostgreSQL's jsonb refuses (NUL, lone surrogates), as the inside of a JSON
 * string literal. Well-formed JSON.stringify (ES2019) escapes exactly those.
 */
export const string = {
  tag: '$string',
  encode: (value: string): string => JSON.stringify(value).slice(1, -1),
  decode: (body: JsonValue, walk: DecodeWalk): string =>
    readString(body) ?? walk.malformed('the inside of a JSON string literal'),
} as const;

function readString(body: JsonValue): string | undefined {
  if (typeof body !== 'string') return undefined;
  try {
    const value: unknown = JSON.parse(`"${body}"`);
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}
