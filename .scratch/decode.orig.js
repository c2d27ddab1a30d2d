import { ByReferenceError } from './errors.js';
import { isPlainObject, jsonPath, setOwn } from './json.js';
import { resolveLimits } from './options.js';
import { EntityToken, readTokenBody } from './token.js';
import { TAGGED_VALUES } from './values/index.js';
import { OMITTED } from './values/value-type.js';
/** A place in a decoded value whose content is still to come. */
class Slot {
  /** What goes there; OMITTED takes the place away. */
  value = undefined;
  #holder = [];
  #key = 0;
  #at = [];
  #segment = undefined;
  /** Says where the value goes, and at which path of the payload that is: the holder's, and the step from there. */
  place(holder, key, at, segment) {
    this.#holder = holder;
    this.#key = key;
    this.#at = at;
    this.#segment = segment;
  }
  get path() {
    return jsonPath(this.#segment === undefined ? this.#at : [...this.#at, this.#segment]);
  }
  fill() {
    if (Array.isArray(this.#holder)) this.#holder[this.#key] = this.value;
    else if (this.value === OMITTED) delete this.#holder[this.#key];
    else this.#holder[this.#key] = this.value;
  }
}
/** The place of one entity: found by the walker, given its `value` (the entity, null or OMITTED) by the reviver. */
export class EntitySlot extends Slot {
  parts;
  /** What the property that holds it says about it, where a class declares one. */
  declared = undefined;
  constructor(parts) {
    super();
    this.parts = parts;
  }
}
/**
 * Reads JSON of wire format 1 without touching a database. Input is copied, never changed, unless the caller gives it
 * away: arrays and objects of JSON that nobody else holds are taken over, which is faster.
 * Total on arbitrary JSON: throws E_MALFORMED or E_LIMIT with the JSON path, what the hooks throw, and nothing else.
 */
export function decode(json, hooks, limits = {}, takesOver = false) {
  return new Decoder(resolveLimits(limits), { hooks, takesOver }).decode(json);
}
/**
 * Reads JSON that `JSON.stringify` made: `{"$entity":…}` where `isReference` knows the model, and all else as it is.
 * Throws E_MALFORMED, E_LIMIT.
 */
export function decodePlain(json, isReference, limits = {}) {
  return new Decoder(resolveLimits(limits), { isReference }).decode(json);
}
/** In front of a key once: a tag. Twice: the data's own key, which had one. */
const DOLLAR = 0x24;
/** The tags that name something of the application's: the walker's own business. */
const NAMING_TAGS = ['$entity', '$token', '$value', '$snapshot'];
class Decoder {
  #at = [];
  #slots = [];
  #fills = [];
  #limits;
  #hooks;
  #isReference;
  #takesOver;
  #nodes = 0;
  #depth = 0;
  constructor(limits, { hooks, isReference, takesOver = false }) {
    this.#limits = limits;
    this.#hooks = hooks;
    this.#isReference = isReference;
    this.#takesOver = takesOver;
  }
  decode(json) {
    const root = [];
    this.childInto(root, 0, json);
    return { slots: this.#slots, fill: () => this.#fill(root) };
  }
  #fill(root) {
    for (const slot of this.#slots) slot.fill();
    for (const fill of this.#fills) fill();
    return root[0] === OMITTED ? undefined : root[0];
  }
  childInto(holder, key, json, ...at) {
    this.#at.push(...at);
    const value = this.#walk(json);
    if (value instanceof Slot) value.place(holder, key, this.#at.slice(), undefined);
    else holder[key] = value;
    this.#at.length -= at.length;
  }
  /** Decodes a member of an array or object. Returns the path of that holder once an entity among them has needed it. */
  #memberInto(holder, key, json, segment, holderAt) {
    this.#at.push(segment);
    const value = this.#walk(json);
    this.#at.pop();
    if (!(value instanceof Slot)) {
      holder[key] = value;
      return holderAt;
    }
    const at = holderAt ?? this.#at.slice();
    // Set now, so that an entity that arrives later does not move its key to the end.
    holder[key] = undefined;
    value.place(holder, key, at, segment);
    return at;
  }
  whenFilled(fill) {
    this.#fills.push(fill);
  }
  malformed(expected) {
    throw ByReferenceError.malformed(`expected ${expected}`, { path: jsonPath(this.#at) });
  }
  #walk(json) {
    if (++this.#nodes > this.#limits.nodes) throw this.#limit('values', 'nodes');
    if (typeof json === 'string' || typeof json === 'boolean' || json === null) return json;
    if (typeof json === 'number') return Number.isFinite(json) ? json : this.malformed('a finite number');
    if (typeof json !== 'object') return this.malformed('JSON');
    if (++this.#depth > this.#limits.depth) throw this.#limit('levels', 'depth');
    const value = Array.isArray(json) ? this.#walkArray(json) : this.#walkObject(json);
    this.#depth--;
    return value;
  }
  /** True for what stands for itself; counted here, so that most values need no walk. */
  #isSettled(json) {
    if (this.#nodes >= this.#limits.nodes) return false;
    const isScalar = typeof json === 'string' || json === null || typeof json === 'boolean' || Number.isFinite(json);
    if (isScalar) this.#nodes++;
    return isScalar;
  }
  #walkArray(json) {
    const items = this.#takesOver ? json : [];
    const slotsBefore = this.#slots.length;
    let at;
    for (let index = 0; index < json.length; index++) {
      const item = json[index];
      if (!this.#isSettled(item)) at = this.#memberInto(items, index, item, index, at);
      else if (items !== json) items[index] = item;
    }
    if (this.#slots.length > slotsBefore) this.whenFilled(() => compact(items));
    return items;
  }
  #walkObject(json) {
    if (!isPlainObject(json)) return this.malformed('JSON');
    const keys = Object.keys(json);
    if (this.#isReference !== undefined) return this.#walkPlain(json, keys, this.#isReference);
    let isEscaped = false;
    for (const key of keys) {
      if (key.charCodeAt(0) !== DOLLAR) continue;
      if (key.charCodeAt(1) === DOLLAR) isEscaped = true;
      else if (keys.length === 1) return this.#walkTag(key, json[key]);
      else return this.malformed(`${key} alone; a key of the data's own that starts with $ has one more`);
    }
    const object = this.#takesOver && !isEscaped ? json : {};
    let at;
    for (const key of keys) {
      // Assigning it would swap the prototype; the encoder writes such objects as $object.
      if (key === '__proto__') return this.malformed('no key "__proto__"');
      const own = isEscaped && key.charCodeAt(0) === DOLLAR ? key.slice(1) : key;
      const value = json[key];
      if (!this.#isSettled(value)) at = this.#memberInto(object, own, value, key, at);
      else if (object !== json) object[own] = value;
    }
    return object;
  }
  #walkPlain(json, keys, isReference) {
    if (keys.length === 1 && keys[0] === '$entity' && isReference(json['$entity'])) {
      return this.#walkTag('$entity', json['$entity']);
    }
    const object = {};
    let at;
    for (const key of keys) {
      setOwn(object, key, undefined);
      at = this.#memberInto(object, key, json[key], key, at);
    }
    return object;
  }
  #walkTag(tag, body) {
    this.#at.push(tag);
    const value = this.#readTag(tag, body);
    this.#at.pop();
    return value;
  }
  #readTag(tag, body) {
    if (tag === '$entity') {
      if (this.#slots.length >= this.#limits.tokens) throw this.#limit('references', 'tokens');
      const slot = new EntitySlot(readTokenBody(body, () => jsonPath(this.#at.slice(0, -1))));
      this.#slots.push(slot);
      return slot;
    }
    if (tag === '$value' || tag === '$snapshot') return this.#readObject(tag, body);
    if (tag === '$token') return EntityToken.fromBody(body, () => jsonPath(this.#at));
    const type = TAGGED_VALUES.get(tag);
    if (type === undefined)
      return this.malformed(`a known tag, one of ${[...NAMING_TAGS, ...TAGGED_VALUES.keys()].join(', ')}`);
    return type.decode(body, this);
  }
  /** An object of a class of the application's: its name is checked now, and it is made once its data is complete. */
  #readObject(tag, body) {
    if (!Array.isArray(body) || body.length !== 2 || typeof body[0] !== 'string') {
      return this.malformed('[name, data]');
    }
    const at = this.#at.slice(0, -1);
    const hooks = this.#hooks;
    const path = () => jsonPath(at);
    const maker = tag === '$value' ? hooks.value(body[0], path) : hooks.snapshot(body[0], path);
    const slot = new Slot();
    const data = [];
    // What is looked at as JSON must still be JSON then.
    const takesOver = this.#takesOver;
    this.#takesOver = takesOver && maker.check === undefined;
    this.childInto(data, 0, body[1], 1);
    this.#takesOver = takesOver;
    maker.check?.(body[1], [...this.#at, 1]);
    this.whenFilled(() => {
      slot.value = maker.make(data[0] === OMITTED ? undefined : data[0]);
      slot.fill();
    });
    return slot;
  }
  #limit(what, option) {
    return ByReferenceError.limit(what, this.#limits[option], option, jsonPath(this.#at));
  }
}
/** Takes omitted entries out of an array in place: others may hold it already. */
function compact(items) {
  let kept = 0;
  for (const item of items) if (item !== OMITTED) items[kept++] = item;
  items.length = kept;
}
