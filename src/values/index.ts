import { bigint } from './bigint.ts';
import { bytes } from './bytes.ts';
import { date } from './date.ts';
import { map } from './map.ts';
import { number } from './number.ts';
import { object } from './object.ts';
import { set } from './set.ts';
import { string } from './string.ts';
import { undefinedValue } from './undefined.ts';
import { url } from './url.ts';
import type { JsonValue } from '../json.ts';
import type { DecodeWalk, ValueType } from './value-type.ts';

/** The built-in classes that travel, tried in this order. */
export const OBJECT_VALUES: readonly ValueType[] = [date, map, set, bytes, url];

/** How the body of each tag is read; entities and tokens are the walkers' own business. */
export const DECODERS: ReadonlyMap<string, (body: JsonValue, walk: DecodeWalk) => unknown> = new Map(
  [...OBJECT_VALUES, bigint, undefinedValue, number, string, object].map(
    (type) => [type.tag, (body: JsonValue, walk: DecodeWalk): unknown => type.decode(body, walk)] as const,
  ),
);

export { bigint, number, object, string, undefinedValue };
