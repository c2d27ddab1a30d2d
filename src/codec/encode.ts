import type { AnyEntity } from '@mikro-orm/core';
import { types } from 'node:util';
import { ByReferenceError, isThenable } from '../errors.ts';
import { copiedEntity, isDetached } from '../models/snapshot.ts';
import { isEntityManager } from '../orm/context.ts';
import { isEntity } from '../orm/entity.ts';
import { wrapperOf } from '../orm/wrapper.ts';
import { isStorable } from '../text.ts';
import { isPlainObject, jsonPath, type JsonValue, type PathSegment } from '../wire/json.ts';
import { escapeKey } from '../wire/tags.ts';
import { EntityToken } from '../wire/token.ts';
import { extraProperty } from '../wire/values/extra-property.ts';
import { bigint, number, object, OBJECT_VALUES, string, undefinedValue } from '../wire/values/index.ts';
import { isJsonNumber } from '../wire/values/number.ts';
import { type EncodeChild, isNumeric, type ValueType } from '../wire/values/value-type.ts';
import { DEFAULT_LIMITS, type Limits } from './limits.ts';

/** What the walker leaves to its caller. */
export interface EncodeHooks {
  /** The JSON that stands for an entity. */
  entity(entity: AnyEntity, path: () => string): JsonValue;
  /** The name and the data of an entity that travels by value. */
  snapshot(entity: AnyEntity, path: () => string): Named;
  /** The name and the data of a registered value object; undefined for any other object. */
  value(object: object, path: () => string): Named | undefined;
  /** The JSON that stands for a class instance whatever it is, or undefined to let the walker read it. */
  instance?(value: object): JsonValue | undefined;
}

/** What `$value` and `$snapshot` hold; the data may be anything that travels. */
export interface Named {
  readonly name: string;
  readonly data: unknown;
}

/**
 * Turns a value into JSON that says all of it (wire format 1). Nothing of the value is changed
 * or shared. Throws E_UNSERIALIZABLE, with the JSON path, for what could not come back.
 */
export function encode(value: unknown, hooks: EncodeHooks, limits = DEFAULT_LIMITS): JsonValue {
  return new Encoder(hooks, limits).encode(value);
}

/** False for a key that JSON readers or jsonb mishandle. */
const isPlainKey = (key: string): boolean => key !== '__proto__' && isStorable(key);

class Encoder {
  /** Keys and containers from the root to the value at hand. */
  readonly #at: PathSegment[] = [];
  readonly #ancestors: object[] = [];
  #nodes = 0;
  #tokens = 0;
  #numberKeys = 0;
  readonly #hooks: EncodeHooks;
  readonly #limits: Required<Limits>;
  readonly #path = (): string => jsonPath(this.#at);

  readonly #encodeChild: EncodeChild = (child, ...at) => {
    this.#at.push(...at);
    const json = this.encode(child);
    this.#at.length -= at.length;
    return json;
  };

  constructor(hooks: EncodeHooks, limits: Required<Limits>) {
    this.#hooks = hooks;
    this.#limits = limits;
  }

  encode(value: unknown): JsonValue {
    if (++this.#nodes > this.#limits.nodes)
      throw ByReferenceError.limit('values', this.#limits.nodes, 'nodes', this.#path());
    switch (typeof value) {
      case 'string':
        return isStorable(value) ? value : this.#scalar(string, value);
      case 'number':
        return isJsonNumber(value) ? value : this.#scalar(number, value);
      case 'boolean':
        return value;
      case 'undefined':
        return this.#scalar(undefinedValue, value);
      case 'bigint':
        return this.#encodeBigInt(value);
      case 'object':
        return value === null ? null : this.#encodeObject(value);
      default:
        throw ByReferenceError.unserializable(`A ${typeof value}`, 'pass plain data', this.#path());
    }
  }

  #encodeObject(value: object): JsonValue {
    if (isEntity(value) && !isDetached(value)) return this.#encodeReference(value);
    this.#requireDepth();
    if (this.#ancestors.includes(value)) {
      throw ByReferenceError.unserializable('A value that contains itself', 'break the cycle', this.#path());
    }
    this.#ancestors.push(value);
    const json = Array.isArray(value)
      ? this.#encodeArray(value)
      : isPlainObject(value)
        ? this.#encodePlain(value as Record<string, unknown>)
        : this.#encodeInstance(value);
    this.#ancestors.pop();
    return json;
  }

  /** A tag is a level: what is written must be readable under the same limits. */
  #requireDepth(): void {
    if (this.#ancestors.length < this.#limits.depth) return;
    throw ByReferenceError.limit('levels', this.#limits.depth, 'depth', this.#path());
  }

  #scalar<T>(type: { readonly tag: string; encode(value: T): JsonValue }, value: T): JsonValue {
    this.#requireDepth();
    return { [type.tag]: type.encode(value) };
  }

  #encodeBigInt(value: bigint): JsonValue {
    const { digits } = this.#limits;
    const json = this.#scalar(bigint, value) as { readonly $bigint: string };
    if (json.$bigint.length <= digits) return json;
    throw ByReferenceError.limit('characters', digits, 'digits', this.#path());
  }

  #encodeReference(entity: AnyEntity): JsonValue {
    this.#requireDepth();
    if (++this.#tokens > this.#limits.tokens) {
      throw ByReferenceError.limit('references', this.#limits.tokens, 'tokens', this.#path());
    }
    return this.#hooks.entity(entity, this.#path);
  }

  #encodeArray(value: readonly unknown[]): JsonValue {
    // A subclass of Array has behaviour of its own.
    if (Object.getPrototypeOf(Object.getPrototypeOf(Object.getPrototypeOf(value))) !== null) {
      return this.#encodeInstance(value);
    }
    const json: JsonValue[] = [];
    // An index loop: holes read as undefined, where map() would keep them.
    const last = this.#at.push(0) - 1;
    for (let index = 0; index < value.length; index++) {
      this.#at[last] = index;
      json.push(this.encode(value[index]));
    }
    this.#at.pop();
    this.#refuseExtra(value, 'an array');
    return json;
  }

  #encodePlain(value: Record<string, unknown>): JsonValue {
    const keys = Object.getOwnPropertyNames(value);
    this.#refuseHidden(value, keys);
    if (!keys.every(isPlainKey)) return this.#tagged(object, value);
    const json: Record<string, JsonValue> = {};
    const last = this.#at.push('') - 1;
    for (const key of keys) {
      this.#at[last] = key;
      json[escapeKey(key)] = this.encode(value[key]);
    }
    this.#at.pop();
    return json;
  }

  /** Hidden properties and symbols would vanish; an accessor's value is not the object's to keep. */
  #refuseHidden(value: object, names: readonly string[]): void {
    const symbols = Object.getOwnPropertySymbols(value);
    if (symbols.length > 0) throw this.#lost(symbols[0]!, 'an object');
    for (const name of names) {
      const property = Object.getOwnPropertyDescriptor(value, name)!;
      if (!property.enumerable) throw this.#lost(name, 'an object');
      if ('value' in property) continue;
      this.#at.push(name);
      throw ByReferenceError.unserializable('An accessor property', 'pass its value', this.#path());
    }
  }

  /** What was added to an array, or to an object of a built-in class, would vanish. */
  #refuseExtra(value: object, owner: string): void {
    const extra = extraProperty(value);
    if (extra !== undefined) throw this.#lost(extra, owner);
  }

  #lost(key: PropertyKey, owner: string): ByReferenceError {
    const name = typeof key === 'string' ? JSON.stringify(key) : String(key);
    return ByReferenceError.unserializable(`The property ${name} of ${owner}`, 'pass plain data', this.#path());
  }

  #encodeInstance(value: object): JsonValue {
    // Built-in types first: they are most of the instances in a payload.
    for (const type of OBJECT_VALUES) {
      if (!type.matches(value)) continue;
      if (type.keys !== undefined) this.#countKeys(type.keys(value));
      this.#refuseExtra(value, `what travels as ${type.tag}`);
      return this.#tagged(type, value);
    }
    const replaced = this.#hooks.instance?.(value);
    if (replaced !== undefined) return replaced;
    const registered = this.#hooks.value(value, this.#path);
    if (registered !== undefined) return this.#named('$value', registered);
    if (EntityToken.isToken(value)) return { ...value.toJSON() };
    const copied = copiedEntity(value);
    if (copied !== undefined) return this.#named('$snapshot', this.#hooks.snapshot(copied, this.#path));
    const wrapper = wrapperOf(value);
    if (wrapper === undefined) throw this.#foreign(value);
    if (wrapper.kind === 'reference') return this.#encodeReference(wrapper.entity);
    if (!wrapper.loaded) {
      const what =
        wrapper.kind === 'collection' ? 'A collection that is not loaded' : 'A lazy property that is not loaded';
      throw ByReferenceError.unserializable(what, 'load it first', this.#path());
    }
    return this.encode(wrapper.unwrap());
  }

  #countKeys(keys: Iterable<unknown>): void {
    const { numberKeys } = this.#limits;
    for (const key of keys) if (isNumeric(key)) this.#numberKeys++;
    if (this.#numberKeys > numberKeys) {
      throw ByReferenceError.limit('numbers as keys', numberKeys, 'numberKeys', this.#path());
    }
  }

  #tagged<T>(type: Pick<ValueType<T>, 'tag' | 'encode'>, value: T): JsonValue {
    this.#at.push(type.tag);
    const body = type.encode(value, this.#encodeChild);
    this.#at.pop();
    // Not a literal with a computed key: that takes longer than all the rest.
    const json: Record<string, JsonValue> = {};
    json[type.tag] = body;
    return json;
  }

  #named(tag: '$value' | '$snapshot', { name, data }: Named): JsonValue {
    this.#at.push(tag, 1);
    const json = this.encode(data);
    this.#at.length -= 2;
    return { [tag]: [name, json] };
  }

  #foreign(value: object): ByReferenceError {
    const name = (value.constructor as { name?: string } | undefined)?.name;
    if (isEntityManager(value)) {
      const advice = 'leave it out: whoever reads the payload has one';
      return ByReferenceError.unserializable('An EntityManager', advice, this.#path());
    }
    if (isThenable(value)) return ByReferenceError.unserializable('A promise', 'await it first', this.#path());
    if (types.isDate(value) && Number.isNaN(value.getTime())) {
      return ByReferenceError.unserializable('An invalid Date', 'pass a date that there is, or null', this.#path());
    }
    if (!name) {
      return ByReferenceError.unserializable('An object with a prototype of its own', 'pass plain data', this.#path());
    }
    const advice = `pass plain data, or register its class in every process: serializer.values.register(${JSON.stringify(name)}, ${name}, { encode, decode }), or the option values for a class with @ByValue()`;
    return ByReferenceError.unserializable(`An instance of ${name}`, advice, this.#path());
  }
}
