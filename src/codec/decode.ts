import { ByReferenceError } from '../errors.ts';
import { isStorable } from '../text.ts';
import {
  isJsonObject,
  isPlainObject,
  type JsonObject,
  jsonPath,
  type JsonValue,
  type PathSegment,
  setOwn,
} from '../wire/json.ts';
import { isMarked, isTag, unescapeKey } from '../wire/tags.ts';
import { EntityToken, readTokenBody } from '../wire/token.ts';
import { isDecimal } from '../wire/values/bigint.ts';
import { TAGGED_VALUES } from '../wire/values/index.ts';
import { type DecodeWalk, isNumeric, OMITTED } from '../wire/values/value-type.ts';
import { DEFAULT_LIMITS, type Limits } from './limits.ts';
import { EntitySlot, Slot } from './slot.ts';

/** How an object of the application's is read. */
export interface InstanceReader {
  /** Looks at its data before anything is loaded. */
  check?(data: JsonValue, at: () => readonly PathSegment[]): void;
  /** Makes it of its decoded data, once the entities in that are known. */
  make(data: unknown): unknown;
}

/** The classes that a payload may name; both throw where there is no such name, before anything is loaded. */
export interface DecodeHooks {
  /** How `{"$value":[name,data]}` becomes an instance. */
  value(name: string, path: () => string): InstanceReader;
  /** How `{"$snapshot":[name,data]}` becomes a detached entity. */
  snapshot(name: string, path: () => string): InstanceReader;
}

/** A value whose entities are still to come. */
export interface Decoded {
  /** One per reference, in document order, duplicates included. */
  readonly slots: readonly EntitySlot[];
  /** Puts the slots' values in their places and returns the whole. Call it once. */
  fill(): unknown;
}

/** The same right after it was read. */
export interface Walked extends Decoded {
  /** The array of JSON that each slot was read from: what is declared of a reference is known by it. */
  readonly bodies: readonly JsonValue[];
}

/**
 * Reads JSON of wire format 1 without touching a database. Input is copied, never changed, unless the caller gives it
 * away: arrays and objects of JSON that nobody else holds are taken over, which is faster.
 * Total on arbitrary JSON: throws E_MALFORMED or E_LIMIT with the JSON path, what the hooks throw, and nothing else.
 */
export function decode(json: unknown, hooks: DecodeHooks, limits = DEFAULT_LIMITS, takesOver = false): Walked {
  return new Decoder({ limits, hooks, takesOver }).decode(json as JsonValue);
}

/**
 * Reads JSON that `JSON.stringify` made: `{"$entity":…}` where `isReference` knows the model, and all else as it is.
 * Throws E_MALFORMED, E_LIMIT.
 */
export function decodePlain(
  json: unknown,
  isReference: (body: JsonValue) => boolean,
  limits = DEFAULT_LIMITS,
): Decoded {
  return new Decoder({ limits, isReference, takesOver: false }).decode(json as JsonValue);
}

/** The tags that name something of the application's: the walker's own business. */
const NAMING_TAGS = ['$entity', '$token', '$value', '$snapshot'];

interface DecoderOptions {
  readonly limits: Required<Limits>;
  /** Unset for plain JSON, which has no such tags. */
  readonly hooks?: DecodeHooks;
  /** Set for plain JSON, where no other tag means anything. */
  readonly isReference?: (body: JsonValue) => boolean;
  readonly takesOver: boolean;
}

class Decoder implements DecodeWalk {
  readonly #at: PathSegment[] = [];
  /** The path of the tag at hand, once a slot below it has needed one: all of them share it. */
  #tagAt: readonly PathSegment[] | undefined;
  readonly #slots: EntitySlot[] = [];
  #bodies: JsonValue[] = [];
  readonly #fills: (() => void)[] = [];
  /** Of the object that holds the tag at hand. */
  readonly #holderPath = (): string => jsonPath(this.#at.slice(0, -1));
  readonly #options: DecoderOptions;
  readonly #limits: Required<Limits>;
  /** Objects around the value at hand whose data is looked at as JSON once it was walked: till then it must stay that. */
  #checked = 0;
  #nodes = 0;
  #depth = 0;
  #numberKeys = 0;

  constructor(options: DecoderOptions) {
    this.#options = options;
    this.#limits = options.limits;
  }

  get #takesOver(): boolean {
    return this.#options.takesOver && this.#checked === 0;
  }

  decode(json: JsonValue): Walked {
    const root: unknown[] = [];
    this.#into(root, 0, this.#walk(json), NOWHERE);
    const bodies = this.#bodies;
    // Memory for as long as rows are loaded, where fill() kept them.
    this.#bodies = [];
    return { slots: this.#slots, bodies, fill: () => this.#fill(root) };
  }

  #fill(root: unknown[]): unknown {
    for (const slot of this.#slots) slot.fill();
    for (const fill of this.#fills) fill();
    return root[0] === OMITTED ? undefined : root[0];
  }

  childInto(holder: object, key: PathSegment, json: JsonValue, ...at: PathSegment[]): void {
    this.#at.push(...at);
    const value = this.#walk(json);
    this.#at.length -= at.length;
    this.#into(holder, key, value, at);
  }

  #into(holder: object, key: PathSegment, value: unknown, at: readonly PathSegment[]): void {
    if (value instanceof Slot) value.place(holder, key, (this.#tagAt ??= this.#at.slice()), at);
    else (holder as Record<PathSegment, unknown>)[key] = value;
  }

  /** Decodes a member of an array or object. Returns the path of that holder once an entity among them has needed it. */
  #memberInto(
    holder: object,
    key: PathSegment,
    json: JsonValue,
    segment: PathSegment,
    holderAt: readonly PathSegment[] | undefined,
  ): readonly PathSegment[] | undefined {
    this.#at.push(segment);
    const value = this.#walk(json);
    this.#at.pop();
    if (!(value instanceof Slot)) {
      (holder as Record<PathSegment, unknown>)[key] = value;
      return holderAt;
    }
    const at = holderAt ?? this.#at.slice();
    // Set now, so that an entity that arrives later does not move its key to the end.
    (holder as Record<PathSegment, unknown>)[key] = undefined;
    value.place(holder, key, at, segment);
    return at;
  }

  whenFilled(fill: () => void): void {
    this.#fills.push(fill);
  }

  countKeys(keys: readonly unknown[]): void {
    for (const key of keys) if (isNumeric(key)) this.#numberKeys++;
    if (this.#numberKeys > this.#limits.numberKeys) throw this.#limit('numbers as keys', 'numberKeys');
  }

  malformed(expected: string): never {
    throw ByReferenceError.malformed(`expected ${expected}`, { path: jsonPath(this.#at) });
  }

  #walk(json: JsonValue): unknown {
    if (++this.#nodes > this.#limits.nodes) throw this.#limit('values', 'nodes');
    if (typeof json === 'string' || typeof json === 'boolean' || json === null) return json;
    // -0 is written as $number: in JSON it reads as 0, so that a signature, which can't tell them apart, covers it.
    if (typeof json === 'number') return Number.isFinite(json) ? json + 0 : this.malformed('a finite number');
    if (typeof json !== 'object') return this.malformed('JSON');
    if (++this.#depth > this.#limits.depth) throw this.#limit('levels', 'depth');
    const value = Array.isArray(json) ? this.#walkArray(json) : this.#walkObject(json as JsonObject);
    this.#depth--;
    return value;
  }

  /** True for what stands for itself; counted here, so that most values need no walk. */
  #isSettled(json: JsonValue): boolean {
    if ((typeof json === 'object' && json !== null) || this.#nodes >= this.#limits.nodes) return false;
    if (
      typeof json === 'number'
        ? !Number.isFinite(json) || Object.is(json, -0)
        : typeof json !== 'string' && !isConstant(json)
    )
      return false;
    this.#nodes++;
    return true;
  }

  #walkArray(json: readonly JsonValue[]): unknown[] {
    // A copy has no room to grow, which short arrays would be mostly.
    const items: unknown[] = this.#takesOver ? (json as unknown[]) : [...json];
    let at: readonly PathSegment[] | undefined;
    for (let index = 0; index < json.length; index++) {
      const item = json[index]!;
      if (!this.#isSettled(item)) at = this.#memberInto(items, index, item, index, at);
    }
    if (at !== undefined) this.whenFilled(() => compact(items));
    return items;
  }

  #walkObject(json: JsonObject): unknown {
    // What is taken over has come out of JSON.parse.
    if (!this.#takesOver && !isPlainObject(json)) return this.malformed('JSON');
    const keys = Object.keys(json);
    const { isReference } = this.#options;
    if (isReference !== undefined) return this.#walkPlain(json, keys, isReference);
    const hasEscapes = keys.some(isMarked);
    const tag = hasEscapes ? keys.find(isTag) : undefined;
    if (tag !== undefined) {
      if (keys.length === 1) return this.#walkTag(tag, json[tag]!);
      return this.malformed(`${tag} alone; a key of the data's own that starts with $ has one more`);
    }
    const object = (this.#takesOver && !hasEscapes ? json : {}) as Record<string, unknown>;
    let at: readonly PathSegment[] | undefined;
    for (const key of keys) {
      // Assigning it would swap the prototype; the encoder writes such objects as $object.
      if (key === '__proto__') return this.malformed('no key "__proto__"');
      const own = hasEscapes ? unescapeKey(key) : key;
      const value = json[key]!;
      if (!this.#isSettled(value)) at = this.#memberInto(object, own, value, key, at);
      else if (object !== json) object[own] = value;
    }
    return object;
  }

  #walkPlain(json: JsonObject, keys: readonly string[], isReference: (body: JsonValue) => boolean): unknown {
    if (keys.length === 1 && keys[0] === '$entity' && isReference(json['$entity']!)) {
      return this.#walkTag('$entity', json['$entity']!);
    }
    const object: Record<string, unknown> = {};
    let at: readonly PathSegment[] | undefined;
    for (const key of keys) {
      setOwn(object, key, undefined);
      at = this.#memberInto(object, key, json[key]!, key, at);
    }
    return object;
  }

  #walkTag(tag: string, body: JsonValue): unknown {
    const outer = this.#tagAt;
    this.#tagAt = undefined;
    this.#at.push(tag);
    const value = this.#readTag(tag, body);
    this.#at.pop();
    this.#tagAt = outer;
    return value;
  }

  #readTag(tag: string, body: JsonValue): unknown {
    if (tag === '$entity') {
      this.#limitKey(body);
      if (this.#slots.length >= this.#limits.tokens) throw this.#limit('references', 'tokens');
      const slot = new EntitySlot(readTokenBody(body, this.#holderPath));
      this.#slots.push(slot);
      this.#bodies.push(body);
      return slot;
    }
    if (tag === '$value' || tag === '$snapshot') return this.#readObject(tag, body);
    if (tag === '$token') this.#limitKey(body);
    if (tag === '$bigint') this.#limitDigits(body);
    if (tag === '$token') return EntityToken.fromBody(body, () => jsonPath(this.#at));
    const type = TAGGED_VALUES.get(tag);
    if (type === undefined)
      return this.malformed(`a known tag, one of ${[...NAMING_TAGS, ...TAGGED_VALUES.keys()].join(', ')}`);
    return type.decode(body, this);
  }

  /** An object of a class of the application's: its name is checked now, and it is made once its data is complete. */
  #readObject(tag: '$value' | '$snapshot', body: JsonValue): Slot {
    if (!Array.isArray(body) || body.length !== 2 || typeof body[0] !== 'string') {
      return this.malformed('[name, data]');
    }
    const at = this.#at.slice(0, -1);
    const hooks = this.#options.hooks!;
    const path = (): string => jsonPath(at);
    const reader = tag === '$value' ? hooks.value(body[0], path) : hooks.snapshot(body[0], path);
    const slot = new Slot();
    const data: unknown[] = [];
    const levels = reader.check === undefined ? 0 : 1;
    this.#checked += levels;
    this.childInto(data, 0, body[1], 1);
    this.#checked -= levels;
    reader.check?.(body[1], () => [...this.#at, 1]);
    this.whenFilled(() => {
      slot.value = reader.make(data[0] === OMITTED ? undefined : data[0]);
      slot.fill();
    });
    return slot;
  }

  /** A key is one part or several, each text or text under a tag. */
  #limitKey(body: JsonValue): void {
    const key: unknown = Array.isArray(body) ? body[1] : undefined;
    if (Array.isArray(key)) for (const part of key as unknown[]) this.#limitPart(part);
    else this.#limitPart(key);
  }

  #limitPart(part: unknown): void {
    if (isJsonObject(part)) this.#limitDigits(Object.values(part)[0]);
    else if (typeof part === 'string' && isStorable(part)) this.#limitLength(part);
  }

  /** Before a bigint is made of them; what is no digits is refused for that. */
  #limitDigits(text: unknown): void {
    if (typeof text === 'string' && isDecimal(text)) this.#limitLength(text);
  }

  #limitLength(text: string): void {
    if (text.length > this.#limits.digits) throw this.#limit('characters', 'digits');
  }

  #limit(what: string, option: 'depth' | 'nodes' | 'tokens' | 'digits' | 'numberKeys'): ByReferenceError {
    return ByReferenceError.limit(what, this.#limits[option], option, jsonPath(this.#at));
  }
}

const NOWHERE: readonly never[] = [];

const isConstant = (json: unknown): boolean => json === null || json === true || json === false;

/** Takes omitted entries out of an array in place: others may hold it already. */
function compact(items: unknown[]): void {
  let kept = 0;
  for (const item of items) if (item !== OMITTED) items[kept++] = item;
  items.length = kept;
}
