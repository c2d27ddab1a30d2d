/**
 * The one rule that tells tags from data: a key with one `$` in front is a tag, and a key of the data's own that starts
 * with `$` has one more.
 */
import { isJsonObject, type JsonObject, type JsonValue } from './json.ts';

const DOLLAR = '$'.charCodeAt(0);

/** True for a tag, and for a key of the data's own that starts like one. By code unit: the walkers ask for every key. */
export const isMarked = (key: string): boolean => key.charCodeAt(0) === DOLLAR;

export const isTag = (key: string): boolean => isMarked(key) && key.charCodeAt(1) !== DOLLAR;

/** True for an object that is data and no tag; a tag stands alone. */
export const isUntagged = (json: JsonValue): json is JsonObject => isJsonObject(json) && !Object.keys(json).some(isTag);

/** A key of the data's own as it is on the wire. */
export const escapeKey = (key: string): string => (isMarked(key) ? `$${key}` : key);

/** A key on the wire, which is no tag, as it is in the data. */
export const unescapeKey = (key: string): string => (isMarked(key) ? key.slice(1) : key);
