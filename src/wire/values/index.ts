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
import type { ValueType } from './value-type.ts';

/** The built-in classes that travel, tried in this order. */
export const OBJECT_VALUES: readonly ValueType[] = [date, map, set, bytes, url];

/** The types by tag; entities, tokens and what is named by the application are the walkers' own business. */
export const TAGGED_VALUES: ReadonlyMap<string, Pick<ValueType, 'decode'>> = new Map(
  [...OBJECT_VALUES, bigint, undefinedValue, number, string, object].map((type) => [type.tag, type] as const),
);

export { bigint, number, object, string, undefinedValue };
