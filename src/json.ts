import { ByReferenceError } from './errors.ts';

/** Any value that `JSON.stringify` writes and `JSON.parse` reads back unchanged. */
export type JsonValue = string | number | boolean | null | JsonArray | JsonObject;
export type JsonArray = readonly JsonValue[];
export type JsonObject = { readonly [key: string]: JsonValue };

/** One step into a JSON value: an object key or an array index. */
export type PathSegment = string | number;

const SHORTHAND = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Writes a path as an RFC 9535 JSONPath: `$.lines[3]['$map']`. */
export function jsonPath(segments: readonly PathSegment[]): string {
  let path = '$';
  for (const segment of segments) {
    if (typeof segment === 'number') path += `[${segment}]`;
    else if (SHORTHAND.test(segment)) path += `.${segment}`;
    else path += `['${segment.replace(/[\\']/g, '\\$&')}']`;
  }
  return path;
}

/** True for an object that `JSON.parse` could have made, of whatever realm; arrays and null are not. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && isPlainObject(value);
}

/** True for `{}`-like objects: prototype null, or the `Object.prototype` of any realm (Jest and vm contexts have their own). */
export function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return true;
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, 'isPrototypeOf');
}

/** True when PostgreSQL's jsonb and UTF-8 can hold the string: no NUL, no lone surrogate. */
export function isStorableString(value: string): boolean {
  return !value.includes('\0') && value.isWellFormed();
}

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

/** Sets an own property whatever the key: assigning `__proto__` would swap the prototype. */
export function setOwn(target: object, key: string, value: unknown): void {
  if (key === '__proto__')
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  else (target as Record<string, unknown>)[key] = value;
}
