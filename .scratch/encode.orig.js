import { ByReferenceError } from './errors.js';
import { isPlainObject, isStorableString, jsonPath } from './json.js';
import { resolveLimits } from './options.js';
import { isEntity, wrapperOf } from './orm.js';
import { copiedEntity, isDetached } from './snapshot.js';
import { EntityToken } from './token.js';
import { bigint, number, object, OBJECT_VALUES, string, undefinedValue } from './values/index.js';
import { isJsonNumber } from './values/number.js';
/**
 * Turns a value into JSON that says all of it (wire format 1). Nothing of the value is changed
 * or shared. Throws E_UNSERIALIZABLE, with the JSON path, for what could not come back.
 */
export function encode(value, hooks, limits = {}) {
  return new Encoder(hooks, resolveLimits(limits)).encode(value);
}
/** False for a key that JSON readers or jsonb mishandle. */
const isPlainKey = (key) => key !== '__proto__' && isStorableString(key);
class Encoder {
  /** Keys and containers from the root to the value at hand. */
  #at = [];
  #ancestors = [];
  #nodes = 0;
  #tokens = 0;
  #hooks;
  #limits;
  #path = () => jsonPath(this.#at);
  #encodeChild = (child, ...at) => {
    this.#at.push(...at);
    const json = this.encode(child);
    this.#at.length -= at.length;
    return json;
  };
  constructor(hooks, limits) {
    this.#hooks = hooks;
    this.#limits = limits;
  }
  encode(value) {
    if (++this.#nodes > this.#limits.nodes)
      throw ByReferenceError.limit('values', this.#limits.nodes, 'nodes', this.#path());
    switch (typeof value) {
      case 'string':
        return isStorableString(value) ? value : { [string.tag]: string.encode(value) };
      case 'number':
        return isJsonNumber(value) ? value : { [number.tag]: number.encode(value) };
      case 'boolean':
        return value;
      case 'undefined':
        return { [undefinedValue.tag]: undefinedValue.encode() };
      case 'bigint':
        return { [bigint.tag]: bigint.encode(value) };
      case 'object':
        return value === null ? null : this.#encodeObject(value);
      default:
        throw ByReferenceError.unserializable(`A ${typeof value}`, 'pass plain data', this.#path());
    }
  }
  #encodeObject(value) {
    if (isEntity(value) && !isDetached(value)) return this.#encodeReference(value);
    if (this.#ancestors.length >= this.#limits.depth) {
      throw ByReferenceError.limit('levels', this.#limits.depth, 'depth', this.#path());
    }
    if (this.#ancestors.includes(value)) {
      throw ByReferenceError.unserializable('A value that contains itself', 'break the cycle', this.#path());
    }
    this.#ancestors.push(value);
    const json = Array.isArray(value)
      ? this.#encodeArray(value)
      : isPlainObject(value)
        ? this.#encodePlain(value)
        : this.#encodeInstance(value);
    this.#ancestors.pop();
    return json;
  }
  #encodeReference(entity) {
    if (++this.#tokens > this.#limits.tokens) {
      throw ByReferenceError.limit('references', this.#limits.tokens, 'tokens', this.#path());
    }
    return this.#hooks.entity(entity, this.#path);
  }
  #encodeArray(value) {
    // A subclass of Array has behaviour of its own.
    if (Object.getPrototypeOf(Object.getPrototypeOf(Object.getPrototypeOf(value))) !== null) {
      return this.#encodeInstance(value);
    }
    const json = [];
    // An index loop: holes read as undefined, where map() would keep them.
    const last = this.#at.push(0) - 1;
    for (let index = 0; index < value.length; index++) {
      this.#at[last] = index;
      json.push(this.encode(value[index]));
    }
    this.#at.pop();
    return json;
  }
  #encodePlain(value) {
    const keys = Object.keys(value);
    this.#refuseHidden(value, keys);
    if (!keys.every(isPlainKey)) return this.#tagged(object, value);
    const json = {};
    const last = this.#at.push('') - 1;
    for (const key of keys) {
      this.#at[last] = key;
      json[key.startsWith('$') ? `$${key}` : key] = this.encode(value[key]);
    }
    this.#at.pop();
    return json;
  }
  /** Symbol keys would vanish; an accessor's value is not the object's to keep. */
  #refuseHidden(value, keys) {
    if (Object.getOwnPropertySymbols(value).length > 0) {
      throw ByReferenceError.unserializable('An object with symbol keys', 'pass plain data', this.#path());
    }
    for (const key of keys) {
      if (Object.getOwnPropertyDescriptor(value, key).get !== undefined) {
        this.#at.push(key);
        throw ByReferenceError.unserializable('An accessor property', 'pass its value', this.#path());
      }
    }
  }
  #encodeInstance(value) {
    // Built-in types first: they are most of the instances in a payload.
    for (const type of OBJECT_VALUES) if (type.matches(value)) return this.#tagged(type, value);
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
  #tagged(type, value) {
    this.#at.push(type.tag);
    const body = type.encode(value, this.#encodeChild);
    this.#at.pop();
    // Not a literal with a computed key: that takes longer than all the rest.
    const json = {};
    json[type.tag] = body;
    return json;
  }
  #named(tag, { name, data }) {
    this.#at.push(tag, 1);
    const json = this.encode(data);
    this.#at.length -= 2;
    return { [tag]: [name, json] };
  }
  #foreign(value) {
    const name = value.constructor?.name;
    if (!name) {
      return ByReferenceError.unserializable('An object with a prototype of its own', 'pass plain data', this.#path());
    }
    const advice = `pass plain data, or register its class in every process: serializer.values.register(${JSON.stringify(name)}, ${name}, { encode, decode }), or the option values for a class with @ByValue()`;
    return ByReferenceError.unserializable(`An instance of ${name}`, advice, this.#path());
  }
}
