import type { JsonValue, PathSegment } from '../json.ts';

/**
 * How one type of value travels: as `{ [tag]: body }`. One type per file; `values/index.ts` lists them all.
 * A new tag raises the format's version, so that an older worker says "too new" and not "malformed".
 */
export interface ValueType<T = unknown> {
  readonly tag: `$${string}`;
  /** True for exactly this type: a subclass has behaviour that would be lost. Recognises other realms' objects too. */
  matches(value: object): boolean;
  encode(value: T, encodeChild: EncodeChild): JsonValue;
  /** What it is keyed by, where entries could be made to meet in it. */
  keys?(value: T): Iterable<unknown>;
  /** Reads the body, or calls `walk.malformed` with what was expected. */
  decode(body: JsonValue, walk: DecodeWalk): T;
}

/** Encodes a value found inside another, at the given steps below it. */
export type EncodeChild = (value: unknown, ...at: PathSegment[]) => JsonValue;

/** What a value type may ask of the walker while it decodes. */
export interface DecodeWalk {
  /** Decodes the child at the given steps into `holder[key]`: at once, or when its entity has been loaded. */
  childInto(holder: object, key: PathSegment, json: JsonValue, ...at: PathSegment[]): void;
  /** Runs `fill` once the children decoded so far are in place, entities included; inner values first. */
  whenFilled(fill: () => void): void;
  malformed(expected: string): never;
  /** Counts what a Map or a Set is keyed by. Throws E_LIMIT where a stranger could make its entries meet. */
  countKeys(keys: readonly unknown[]): void;
}

/** What V8 hashes without a secret. */
export const isNumeric = (value: unknown): boolean => typeof value === 'number' || typeof value === 'bigint';

/** Stands where the option `missing: 'omit'` takes an entry out of its array, object, Map or Set. */
export const OMITTED: unique symbol = Symbol('omitted');

/**
 * True when the value's class is the built-in one itself: `prototypes` is how many prototypes a plain instance has
 * (2 for a Date: Date.prototype and Object.prototype). `class Deadline extends Date` has one more.
 */
export function isBuiltIn(value: object, prototypes: number): boolean {
  let prototype: unknown = Object.getPrototypeOf(value);
  for (let left = prototypes; left > 0; left--) {
    if (prototype === null) return false;
    prototype = Object.getPrototypeOf(prototype);
  }
  return prototype === null;
}
