import { ByReferenceError } from '../errors.ts';
import type { Declared, DeclaredReference, ReferenceProperty, Several } from '../models/reference-property.ts';
import { isMarkedValue, nameOfMarked } from '../models/value-registry.ts';
import type { EntityClass } from '../orm/entity-class.ts';
import { isEntity } from '../orm/entity.ts';
import { isJsonObject, type JsonObject, type JsonValue, type PathSegment } from '../wire/json.ts';
import { escapeKey, isUntagged, unescapeKey } from '../wire/tags.ts';
import { EntityToken } from '../wire/token.ts';
import { Place } from './place.ts';
import { fromPlain, nestedClass } from './plain.ts';
import { discriminatorOf, isShaped, type PlainClass, shapeOf, type ShapeProperty, typeOf } from './shape.ts';

/**
 * Checks data against a DTO before anything is loaded: declared keys only, the required ones there, references where
 * they are declared. Throws E_MALFORMED with the path, E_INVALID_OPTION for a class that declares nothing.
 */
export function checkDto(cls: PlainClass, data: JsonValue, declared: Declared): void {
  if (!isShaped(cls)) {
    throw ByReferenceError.invalidOption(
      'option as',
      'a class with properties that @Expose, @Type, @ByReference or defineDto() declare',
      cls,
    );
  }
  new Checker(declared, true).object(cls, data, new Place(() => []));
}

/** Notes the references that a value object declares; its other keys are its own business. */
export function checkReferences(
  cls: PlainClass,
  data: JsonValue,
  at: () => readonly PathSegment[],
  declared: Declared,
): void {
  new Checker(declared, false).object(cls, data, new Place(at));
}

/** The instance of a checked DTO. Throws E_MALFORMED where its setters or transforms fail. */
export function makeDto<T extends object>(cls: PlainClass<T>, data: unknown): T {
  try {
    return fromPlain(cls, data, true);
  } catch (cause) {
    const reason = cause instanceof Error ? `: ${cause.message}` : '';
    throw ByReferenceError.malformed(`${cls.name} does not take the data${reason}`, { path: '$', cause });
  }
}

class Checker {
  readonly #declared: Declared;
  /** A DTO is a closed shape, with the value objects in it. A value object by itself only has its references noted. */
  readonly #isClosed: boolean;

  constructor(declared: Declared, isClosed: boolean) {
    this.#declared = declared;
    this.#isClosed = isClosed;
  }

  /** A DTO, or what a value object is made of, which may have keys that its class does not know. */
  object(cls: PlainClass, data: JsonValue, at: Place, discriminator?: string, isValue = !this.#isClosed): void {
    if (!isUntagged(data)) return refuse(`an object as ${cls.name}`, at);
    const shape = shapeOf(cls);
    const properties = new Map<string, ShapeProperty>();
    for (const property of shape.properties) {
      if (property.goes.toClass && (isValue || !property.isConditional)) properties.set(property.key, property);
    }
    const initial = this.#isClosed ? initialOf(cls) : {};
    if (!isValue) refuseKeys(cls, properties, initial, data, at, discriminator);
    for (const [key, value] of Object.entries(data)) {
      const property = properties.get(unescapeKey(key));
      if (property !== undefined) this.#property(property, value, new Place(at, key), data, initial);
      else if (this.#isClosed) refuseNamed(value, new Place(at, key));
    }
  }

  #property(property: ShapeProperty, data: JsonValue, at: Place, holder: JsonObject, initial: Initial): void {
    if (isUndefined(data)) return;
    if (property.reference !== undefined) this.#reference(property.reference, data, at);
    else if (property.type !== undefined && property.transforms.toClass.length === 0) {
      this.#nested(property, data, at, holder, initial);
    } else if (this.#isClosed) refuseNamed(data, at);
  }

  #reference(property: ReferenceProperty, data: JsonValue, at: Place): void {
    if (data === null && property.nullable === true) return;
    const { each = false } = property;
    const items = each === false ? [[data, at] as const] : itemsOf(data, at, [each]);
    if (items === undefined) return refuse(`${IN_WORDS.get(each)} of references`, at);
    for (const [item, itemAt] of items) {
      if (!isTagged(item, '$entity')) refuse(item === null ? 'a reference, and not null' : 'a reference', itemAt);
      this.#declare((item as JsonObject)['$entity']!, { property, place: itemAt });
    }
  }

  #declare(body: JsonValue, reference: DeclaredReference): void {
    const { references } = this.#declared;
    const others = references.get(body);
    if (others === undefined) references.set(body, [reference]);
    else others.push(reference);
  }

  /** The objects under a `@Type` class are DTOs themselves, value objects of that name, copies, or tokens. */
  #nested(property: ShapeProperty, data: JsonValue, at: Place, holder: JsonObject, initial: Initial): void {
    if (data === null && property.nullable) return;
    const several = this.#isClosed ? severalOf(property, initial) : undefined;
    const among = several === undefined ? (this.#isClosed ? [true] : EVERY) : [several];
    const items = several === false ? undefined : itemsOf(data, at, among);
    if (several !== undefined && several !== false && items === undefined) {
      return refuse(`${IN_WORDS.get(several)}`, at);
    }
    if (several === false && itemsOf(data, at, EVERY) !== undefined) return refuse('one object, and no list', at);
    for (const [item, itemAt] of items ?? [[data, at] as const]) this.#item(property, item, itemAt, holder);
  }

  #item(property: ShapeProperty, item: JsonValue, at: Place, holder: JsonObject): void {
    const discriminator = discriminatorOf(property);
    const data = isUntagged(item) ? unescaped(item) : {};
    const cls = explained(() => nestedClass(property, data, unescaped(holder)), at);
    if (cls !== undefined) {
      if (this.#isClosed || isUntagged(item)) this.object(cls, item, at, discriminator?.property);
      return;
    }
    if (discriminator !== undefined && isUntagged(item)) {
      const names = discriminator.subTypes.map(({ name }) => JSON.stringify(name)).join(' or ');
      return refuse(`${names} as ${discriminator.property}`, at);
    }
    if (!this.#isClosed) return;
    const type = explained(() => typeOf(property, unescaped(holder)), at);
    this.#foreign(type, item, at);
  }

  /** Under a class that is no DTO there is a value object of its name, a copy of an entity, a token, or plain data. */
  #foreign(type: unknown, item: JsonValue, at: Place): void {
    if (typeof type !== 'function' || BUILT_IN.has(type)) return refuseNamed(item, at);
    if (type === EntityToken) {
      if (!isTagged(item, '$token')) refuse('a token', at);
    } else if (isMarkedValue(type)) {
      const body = isTagged(item, '$value') ? (item['$value'] as readonly JsonValue[]) : [];
      if (body[0] !== nameOfMarked(type)) return refuse(`a value object ${nameOfMarked(type)}`, at);
      this.object(type as PlainClass, body[1]!, new Place(at, '$value', 1), undefined, true);
    } else if (isEntity(type.prototype as object)) {
      const body = isTagged(item, '$snapshot') ? (item['$snapshot'] as readonly JsonValue[]) : [];
      if (typeof body[0] !== 'string') return refuse(`a copy of ${type.name}`, at);
      this.#declared.copies.set(new Place(at, '$snapshot').path, {
        name: body[0],
        class: type as unknown as EntityClass,
      });
    } else {
      const expected = `a class that declares properties as @Type of a DTO, one with @ByValue(), or an entity for a copy`;
      throw ByReferenceError.invalidOption(`class ${type.name} at ${at.path}`, expected, type);
    }
  }
}

/** The tags that name something of the application's. */
const NAMING = ['$entity', '$token', '$value', '$snapshot'];

/** Plain data of a property that allows any: dates, Maps and the like, but nothing with a name, however deep. */
function refuseNamed(data: JsonValue, at: Place): void {
  if (typeof data !== 'object' || data === null) return;
  const tag = NAMING.find((name) => isTagged(data, name));
  if (tag !== undefined) refuse(`plain data: no property declares ${tag} here`, at);
  if (Array.isArray(data))
    for (const [index, item] of data.entries()) refuseNamed(item as JsonValue, new Place(at, index));
  else for (const [key, item] of Object.entries(data)) refuseNamed(item as JsonValue, new Place(at, key));
}

/** What the constructor gives the properties. */
type Initial = Readonly<Record<string, unknown>>;

function initialOf(cls: PlainClass): Initial {
  try {
    return new cls() as Initial;
  } catch (cause) {
    const reason = cause instanceof Error ? ` (${cause.message})` : '';
    const expected = `a class whose constructor takes no arguments${reason}`;
    throw ByReferenceError.invalidOption('option as', expected, cls);
  }
}

function refuseKeys(
  cls: PlainClass,
  properties: ReadonlyMap<string, ShapeProperty>,
  initial: Initial,
  data: JsonObject,
  at: Place,
  discriminator: string | undefined,
): void {
  for (const key of Object.keys(data)) {
    const own = unescapeKey(key);
    if (properties.has(own) || own === discriminator) continue;
    refuse(`one of the keys that ${cls.name} declares: ${[...properties.keys()].join(', ')}`, new Place(at, key));
  }
  for (const { key, name, optional } of properties.values()) {
    if (optional || initial[name] !== undefined) continue;
    const value = member(data, key);
    if (value === undefined) refuse(`${cls.name} to have the key ${JSON.stringify(key)}`, at);
    else if (isUndefined(value)) refuse('a value, and not undefined', new Place(at, escapeKey(key)));
  }
}

/** What several are in, or false for one: by the declaration, the initial value, or the compiler's metadata. */
function severalOf({ name, type, each }: ShapeProperty, initial: Initial): Several | undefined {
  if (each !== undefined) return each;
  const reflected: unknown = type?.reflectedType;
  for (const [cls, several] of CONTAINERS) {
    if (reflected === cls || initial[name] instanceof (cls as typeof Array)) return several;
  }
  return typeof reflected === 'function' && reflected !== Object ? false : undefined;
}

const CONTAINERS: readonly (readonly [unknown, Several])[] = [
  [Array, true],
  [Set, 'set'],
  [Map, 'map'],
];

const IN_WORDS: ReadonlyMap<Several, string> = new Map<Several, string>([
  [true, 'an array'],
  ['set', 'a Set'],
  ['map', 'a Map'],
]);

const EVERY: readonly Several[] = [true, 'set', 'map'];

const BUILT_IN: ReadonlySet<unknown> = new Set<unknown>([
  String,
  Number,
  Boolean,
  BigInt,
  Date,
  Object,
  Array,
  Map,
  Set,
  URL,
  Uint8Array,
  Buffer,
]);

/** A type function is the application's; what it stumbles over is the payload. */
function explained<T>(run: () => T, at: Place): T {
  try {
    return run();
  } catch (cause) {
    throw ByReferenceError.malformed('the function of @Type failed on it', { path: at.path, cause });
  }
}

/** The items of an array, a Set, or the values of a Map, with their paths; undefined for what is in none of these. */
function itemsOf(data: JsonValue, at: Place, among: readonly Several[]): (readonly [JsonValue, Place])[] | undefined {
  if (among.includes(true) && Array.isArray(data))
    return data.map((item: JsonValue, index) => [item, new Place(at, index)]);
  if (among.includes('set') && isTagged(data, '$set')) return itemsOf(data['$set']!, new Place(at, '$set'), [true]);
  if (!among.includes('map') || !isTagged(data, '$map')) return undefined;
  // The decoder has seen that each entry is a pair.
  return (data['$map'] as readonly (readonly JsonValue[])[]).map((entry, index) => {
    refuseNamed(entry[0]!, new Place(at, '$map', index, 0));
    return [entry[1]!, new Place(at, '$map', index, 1)];
  });
}

const isTagged = (data: JsonValue, tag: string): data is JsonObject => isJsonObject(data) && Object.hasOwn(data, tag);

const isUndefined = (data: JsonValue): boolean => isTagged(data, '$undefined');

const unescaped = (data: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(data).map(([key, value]) => [unescapeKey(key), value]));

function member(data: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(data, escapeKey(key)) ? data[escapeKey(key)] : undefined;
}

function refuse(expected: string, at: Place): never {
  throw ByReferenceError.malformed(`expected ${expected}`, { path: at.path });
}
