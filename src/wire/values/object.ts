import { type JsonValue, setOwn } from '../json.ts';
import { decodeEntries } from './entries.ts';
import { type DecodeWalk, type EncodeChild, OMITTED } from './value-type.ts';

/**
 * `{"$object":[["__proto__",1]]}`: an object with a key that JSON or jsonb can't hold safely (`__proto__`, NUL, a lone
 * surrogate), as entries. Its keys are not escaped.
 */
export const object = {
  tag: '$object',
  encode: (value: Record<string, unknown>, encodeChild: EncodeChild): JsonValue =>
    Object.keys(value).map((key, index) => [encodeChild(key, index, 0), encodeChild(value[key], index, 1)]),
  decode(body: JsonValue, walk: DecodeWalk): Record<string, unknown> {
    const expected = 'an array of [key, value] with different strings as keys';
    const { keys, items } = decodeEntries(body, walk, expected);
    // An entity in a key's place has not arrived yet and left a hole: for-of reads it as undefined, which is no string.
    for (const key of keys) if (typeof key !== 'string') walk.malformed(expected);
    if (new Set(keys).size !== (body as readonly unknown[]).length) walk.malformed(expected);
    const result: Record<string, unknown> = {};
    walk.whenFilled(() => {
      for (const [index, key] of keys.entries())
        if (items[index] !== OMITTED) setOwn(result, key as string, items[index]);
    });
    return result;
  },
} as const;
