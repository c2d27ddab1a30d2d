import { types } from 'node:util';
import type { JsonValue } from '../json.ts';
import { decodeEntries } from './entries.ts';
import { type DecodeWalk, isBuiltIn, OMITTED, type ValueType } from './value-type.ts';

/** `{"$map":[[key,value]…]}`, in insertion order; keys may be anything, entities too. */
export const map: ValueType<Map<unknown, unknown>> = {
  tag: '$map',
  matches: (value) => types.isMap(value) && isBuiltIn(value, 2),
  keys: (value) => value.keys(),
  encode: (value, encodeChild) =>
    Array.from(value, ([key, item], index) => [encodeChild(key, index, 0), encodeChild(item, index, 1)]),
  decode(body: JsonValue, walk: DecodeWalk) {
    const { keys, items } = decodeEntries(body, walk, 'an array of [key, value]');
    walk.countKeys(keys);
    const result = new Map<unknown, unknown>();
    walk.whenFilled(() => {
      for (const [index, key] of keys.entries()) {
        if (key !== OMITTED && items[index] !== OMITTED) result.set(key, items[index]);
      }
    });
    return result;
  },
};
