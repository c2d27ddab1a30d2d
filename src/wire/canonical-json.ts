import { ByReferenceError } from '../errors.ts';
import { type JsonObject, type JsonValue, setOwn } from './json.ts';

/**
 * JSON text in which equal values read equal: object keys sorted by UTF-16 code units, no white space
 * (RFC 8785; `JSON.stringify` writes strings and numbers in the form that RFC asks for). Throws E_LIMIT where the value
 * is deeper than `maxDepth`, E_MALFORMED for what is no JSON.
 */
export function canonicalJson(value: JsonValue, maxDepth = Number.MAX_SAFE_INTEGER): string {
  return JSON.stringify(sortKeys(value, maxDepth, maxDepth));
}

function sortKeys(value: JsonValue, left: number, maxDepth: number): JsonValue {
  if (typeof value === 'bigint' || typeof value === 'function' || typeof value === 'symbol' || value === undefined) {
    throw ByReferenceError.malformed('expected JSON');
  }
  if (typeof value !== 'object' || value === null) return value;
  if (left === 0) throw ByReferenceError.limit('levels', maxDepth, 'depth');
  if (Array.isArray(value)) return value.map((item: JsonValue) => sortKeys(item, left - 1, maxDepth));
  const object = value as JsonObject;
  // Integer-like keys are enumerated first whatever the insertion order: their order is the same for equal values too.
  const sorted: Record<string, JsonValue> = {};
  for (const key of Object.keys(object).sort()) setOwn(sorted, key, sortKeys(object[key]!, left - 1, maxDepth));
  return sorted;
}
