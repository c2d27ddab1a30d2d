import type {
  Collection,
  FromEntityType,
  OptionalProps,
  PrimaryKeyProp,
  Reference,
  ScalarReference,
} from '@mikro-orm/core';
import type { Snapshot } from './models/snapshot.ts';
import type { JsonObject } from './wire/json.ts';
import type { EntityToken } from './wire/token.ts';

/** Where the brand is: in the types only. */
declare const payload: unique symbol;

/** JSON text that says a `T`. The brand is optional: a plain string is accepted where a payload is read. */
export type Serialized<T> = string & { readonly [payload]?: T };

/** The same as a JSON value, for engines that take objects: `{"$byref":1,"data":…}`. */
export type Encoded<T> = JsonObject & { readonly [payload]?: T };

/**
 * What a `T` is once it has travelled: references and `Ref`s are the entity, a Collection an array, `Loaded<E, …>` an
 * `E` again. Entities and other class instances are kept as they are. `Nullable` are the classes that
 * `missing: 'null'` may turn into null.
 *
 * A class or interface can't be told from an entity by its type, so only type literals and aliases of them are looked
 * into: write a payload's type as `type Args = { user: Ref<User> }`.
 */
export type Revived<T, Nullable = never> = 0 extends 1 & T
  ? T
  : unknown extends T
    ? T
    : T extends Primitive | Opaque
      ? T
      : T extends Reference<infer E>
        ? OrNull<Unloaded<E>, Nullable>
        : T extends Snapshot<infer E>
          ? Revived<E>
          : T extends ScalarReference<infer V>
            ? Revived<V, Nullable>
            : T extends Collection<infer E>
              ? OrNull<Unloaded<E>, Nullable>[]
              : T extends ReadonlyMap<infer K, infer V>
                ? Map<Revived<K, Nullable>, Revived<V, Nullable>>
                : T extends ReadonlySet<infer V>
                  ? Set<Revived<V, Nullable>>
                  : T extends Uint8Array
                    ? Uint8Array
                    : T extends readonly unknown[]
                      ? { [Index in keyof T]: Revived<T[Index], Nullable> }
                      : IsEntity<T> extends true
                        ? OrNull<Unloaded<T>, Nullable>
                        : T extends Record<string, unknown>
                          ? { [Key in keyof T]: Revived<T[Key], Nullable> }
                          : OrNull<Unloaded<T>, Nullable>;

/**
 * What may be sent where a `T` is to arrive: references in the place of entities too, and entities in that of
 * references. It looks into what `Revived` looks into.
 */
export type Referable<T> = 0 extends 1 & T
  ? T
  : unknown extends T
    ? T
    : T extends Primitive | void | Opaque | Uint8Array | Snapshot<object> | ScalarReference<unknown>
      ? T
      : T extends Reference<infer E>
        ? T | Unloaded<E>
        : T extends Collection<infer _>
          ? T
          : T extends ReadonlyMap<infer K, infer V>
            ? ReadonlyMap<Referable<K>, Referable<V>>
            : T extends ReadonlySet<infer V>
              ? ReadonlySet<Referable<V>>
              : T extends readonly unknown[]
                ? { [Index in keyof T]: Referable<T[Index]> }
                : IsEntity<T> extends true
                  ? T | Reference<T & object>
                  : T extends Record<string, unknown>
                    ? { [Key in keyof T]: Referable<T[Key]> }
                    : T | Reference<T & object>;

/** Values that are the same once they have travelled. */
type Primitive = string | number | boolean | bigint | null | undefined;

/** Class instances that come back as instances of the same class. */
type Opaque = Date | URL | EntityToken;

/** `T`, or null too where it is one of the classes that `missing: 'null'` is for. */
type OrNull<T, Nullable> = [Nullable] extends [never] ? T : T extends Nullable ? T | null : T;

/** Entity types that are no classes (defineEntity infers literals) carry MikroORM's symbols. */
type IsEntity<T> = Extract<keyof T, typeof PrimaryKeyProp | typeof OptionalProps> extends never ? false : true;

/** The entity behind `Loaded<E, …>`, and behind the `E & object` that a `Ref<E>` holds. */
type Unloaded<T> = object extends T
  ? T
  : T extends object & (infer E)
    ? unknown extends FromEntityType<E>
      ? E
      : FromEntityType<E>
    : T;
