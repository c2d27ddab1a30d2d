import type { JsonValue } from '../json.ts';
import type { DecodeWalk } from './value-type.ts';

/** Keys and values of `[[key,value]…]`, each where its entry has its place; what is an entity comes when it is loaded. */
export interface Entries {
  readonly keys: readonly unknown[];
  readonly items: readonly unknown[];
}

/** Reads entries, or calls `walk.malformed` with what was expected. */
export function decodeEntries(body: JsonValue, walk: DecodeWalk, expected: string): Entries {
  if (!Array.isArray(body)) walk.malformed(expected);
  const keys: unknown[] = [];
  const items: unknown[] = [];
  for (const [index, entry] of body.entries()) {
    if (!Array.isArray(entry) || entry.length !== 2) walk.malformed(expected);
    walk.childInto(keys, index, entry[0], index, 0);
    walk.childInto(items, index, entry[1], index, 1);
  }
  return { keys, items };
}
