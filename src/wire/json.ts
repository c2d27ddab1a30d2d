import { printable, shortened } from '../text.ts';

/** Any value that `JSON.stringify` writes and `JSON.parse` reads back unchanged. */
export type JsonValue = string | number | boolean | null | JsonArray | JsonObject;

/** An array of JSON values. */
export type JsonArray = readonly JsonValue[];

/** An object of JSON values. */
export type JsonObject = { readonly [key: string]: JsonValue };

/** One step into a JSON value: an object key or an array index. */
export type PathSegment = string | number;

const SHORTHAND = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Writes a path as an RFC 9535 JSONPath: `$.lines[3]['$map']`. Nothing in it is obeyed where it is printed. */
export function jsonPath(segments: readonly PathSegment[]): string {
  let path = '$';
  for (const segment of segments) path += stepOf(segment);
  return path;
}

/**
 * The path one step below another. A long one is without its middle, as those of errors are: a stranger's key of a
 * megabyte is not told once more with each value below it.
 */
export const pathBelow = (path: string, segment: PathSegment): string => shortened(path + stepOf(segment), 1_000);

function stepOf(segment: PathSegment): string {
  if (typeof segment === 'number') return `[${segment}]`;
  return SHORTHAND.test(segment) ? `.${segment}` : `[${quoted(segment)}]`;
}

/** A normalized path (RFC 9535, 2.7) has the escapes of JSON, between single quotes; what else can't be printed has too. */
function quoted(name: string): string {
  const inner = JSON.stringify(name).slice(1, -1);
  return `'${printable(inner.replace(/\\"|'/g, (quote) => (quote === "'" ? String.raw`\'` : '"')))}'`;
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

/** Sets an own property whatever the key: assigning `__proto__` would swap the prototype. */
export function setOwn(target: object, key: string, value: unknown): void {
  if (key === '__proto__')
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  else (target as Record<string, unknown>)[key] = value;
}
