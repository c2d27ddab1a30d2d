import { isDeepStrictEqual, types } from 'node:util';

/** To list the keys of more elements than this takes as long as to encode them. */
const FEW = 32;

/**
 * The first own property that an array, Date, Map, Set, URL or bytes has besides what it is made of: it has no place on
 * the wire. Beside more than 32 elements hidden (non-enumerable) names are not looked for.
 */
export function extraProperty(value: object): PropertyKey | undefined {
  const isBytes = types.isUint8Array(value);
  if (!isBytes && !Array.isArray(value)) return Reflect.ownKeys(value)[0];
  if (value.length > FEW && isDeepStrictEqual(value, isBytes ? bareBytes(value) : bareArray(value))) return undefined;
  const keys = Reflect.ownKeys(value);
  // The keys of elements come first, then an array's own length, then what was added.
  return keys[isBytes ? value.length : keys.indexOf('length') + 1];
}

/** The same elements, holes among them, and nothing else; this comparison knows how to skip elements that are the same. */
const bareArray = (value: readonly unknown[]): unknown[] => ([] as unknown[]).concat(value);

const bareBytes = (value: Uint8Array): Uint8Array =>
  Buffer.isBuffer(value)
    ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
