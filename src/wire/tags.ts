/**
 * The one rule that tells tags from data: a key with one `$` in front is a tag, and a key of the data's own that starts
 * with `$` has one more.
 */
import { isJsonObject, type JsonObject, type JsonValue } from './json.ts';

export const isTag = (key: string): boolean => isDollar(key, 0) && !isDollar(key, 1);

/** True for a key of the data's own, as it is on the wire, that the data has with one `$` less. */
export const isEscaped = (key: string): boolean => isDollar(key, 0) && isDollar(key, 1);

/** True for an object that is data and no tag; a tag stands alone. */
export const isUntagged = (json: JsonValue): json is JsonObject => isJsonObject(json) && !Object.keys(json).some(isTag);

/** The walker asks for every key there is: a code unit is read faster than a prefix is compared. */
const isDollar = (key: string, index: number): boolean => key.charCodeAt(index) === 0x24;

/** A key of the data's own as it is on the wire. */
export const escapeKey = (key: string): string => (isDollar(key, 0) ? `$${key}` : key);

/** A key on the wire, which is no tag, as it is in the data. */
export const unescapeKey = (key: string): string => (isDollar(key, 0) ? key.slice(1) : key);
