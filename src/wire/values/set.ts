import { types } from 'node:util';
import type { JsonValue } from '../json.ts';
import { type DecodeWalk, isBuiltIn, OMITTED, type ValueType } from './value-type.ts';

/** `{"$set":[…]}`, in insertion order. */
export const set: ValueType<Set<unknown>> = {
  tag: '$set',
  matches: (value) => types.isSet(value) && isBuiltIn(value, 2),
  keys: (value) => value.keys(),
  encode: (value, encodeChild) => Array.from(value, (item, index) => encodeChild(item, index)),
  decode(body: JsonValue, walk: DecodeWalk) {
    if (!Array.isArray(body)) walk.malformed('an array');
    const items: unknown[] = [];
    for (const [index, item] of body.entries()) walk.childInto(items, index, item, index);
    walk.countKeys(items);
    const result = new Set<unknown>();
    walk.whenFilled(() => {
      for (const item of items) if (item !== OMITTED) result.add(item);
    });
    return result;
  },
};
