import { ByReferenceError } from '../errors.ts';
import {
  type DeclaredReferences,
  describeProperty,
  type DtoProperty,
  type FieldProperty,
  type Models,
  type ReferenceProperty,
  referenceProperty,
  type ReferencePropertyOptions,
} from '../models/reference-property.ts';
import { isMarkedValue, nameOfMarked } from '../models/value-registry.ts';
import type { EntityClass } from '../orm/entity-class.ts';
import { isJsonObject, type JsonObject, jsonPath, type JsonValue, type PathSegment } from '../wire/json.ts';
import { escapeKey, isUntagged, unescapeKey } from '../wire/tags.ts';
import { fromPlain, nestedClass } from './plain.ts';
import {
  discriminatorOf,
  forgetShapes,
  isShaped,
  type PlainClass,
  shapeOf,
  type ShapeProperty,
  typeOf,
} from './shape.ts';

/**
 * Describes the properties of a DTO without decorators, or beside them:
 * `defineDto(SendInvoice, { invoice: ref(() => Invoice), note: field({ optional: true }) })`.
 */
export function defineDto<T extends object>(
  cls: new () => T,
  properties: { readonly [Name in keyof T & string]?: DtoProperty },
): void {
  for (const [name, property] of Object.entries(properties)) {
    if (property !== undefined) describeProperty(cls as EntityClass, name, property as DtoProperty);
  }
  forgetShapes();
}

/** A property that holds an entity of the given class or classes; the same as `@ByReference(models, options)`. */
export const ref = (models: Models, options?: ReferencePropertyOptions): ReferenceProperty =>
  referenceProperty(models, options);

/** A property that holds anything else, as `@Expose()` declares it. */
export const field = (options: FieldProperty = {}): FieldProperty => options;

/**
 * Checks data against a DTO before anything is loaded: declared keys only, the required ones there, references where
 * they are declared. Throws E_MALFORMED with the path, E_INVALID_OPTION for a class that declares nothing.
 */
export function checkDto(cls: PlainClass, data: JsonValue, declared: DeclaredReferences): void {
  if (!isShaped(cls)) {
    throw ByReferenceError.invalidOption(
      'option as',
      'a class with properties that @Expose, @Type, @ByReference or defineDto() declare',
      cls,
    );
  }
  new Checker(declared, true).object(cls, data, []);
}

/** Notes the references that a value object declares; its other keys are its own business. */
export function checkReferences(
  cls: PlainClass,
  data: JsonValue,
  at: readonly PathSegment[],
  declared: DeclaredReferences,
): void {
  new Checker(declared, false).object(cls, data, at);
}

/** The instance of a checked DTO. Throws E_MALFORMED where its setters or transforms fail. */
export function makeDto<T extends object>(cls: PlainClass<T>, data: unknown): T {
  try {
    return fromPlain(cls, data);
  } catch (cause) {
    const reason = cause instanceof Error ? `: ${cause.message}` : '';
    throw ByReferenceError.malformed(`${cls.name} does not take the data${reason}`, { path: '$', cause });
  }
}

type At = readonly PathSegment[];

class Checker {
  readonly #declared: DeclaredReferences;
  /** Off for value objects: only their references are noted, the rest is their own business. */
  readonly #isStrict: boolean;

  constructor(declared: DeclaredReferences, isStrict: boolean) {
    this.#declared = declared;
    this.#isStrict = isStrict;
  }

  object(cls: PlainClass, data: JsonValue, at: At, discriminator?: string): void {
    if (!isUntagged(data)) return refuse(`an object as ${cls.name}`, at);
    const shape = shapeOf(cls);
    const properties = new Map<string, ShapeProperty>();
    for (const property of shape.properties) {
      if (property.goes.toClass && !(this.#isStrict && property.isConditional)) properties.set(property.key, property);
    }
    const initial = this.#isStrict ? initialOf(cls) : {};
    if (this.#isStrict) refuseKeys(cls, properties, initial, data, at, discriminator);
    for (const property of properties.values()) {
      const value = member(data, property.key);
      if (value !== undefined) this.#property(property, value, [...at, escapeKey(property.key)], data, initial);
    }
  }

  #property(property: ShapeProperty, data: JsonValue, at: At, holder: JsonObject, initial: Initial): void {
    if (isUndefined(data)) return;
    if (property.reference !== undefined) this.#reference(property.reference, data, at);
    else if (property.type !== undefined && property.transforms.toClass.length === 0) {
      this.#nested(property, data, at, holder, initial);
    }
  }

  #reference(property: ReferenceProperty, data: JsonValue, at: At): void {
    if (data === null && property.nullable === true) return;
    const items = property.each === true ? itemsOf(data, at) : [[data, at] as const];
    if (items === undefined) return refuse('an array, a Set or a Map of references', at);
    for (const [item, itemAt] of items) {
      if (!isTagged(item, '$entity')) refuse(item === null ? 'a reference, and not null' : 'a reference', itemAt);
      this.#declared.set(jsonPath(itemAt), property);
    }
  }

  /** The objects under a `@Type` class are DTOs themselves, or value objects of that name. */
  #nested(property: ShapeProperty, data: JsonValue, at: At, holder: JsonObject, initial: Initial): void {
    if (data === null && property.nullable) return;
    const items = itemsOf(data, at);
    if (this.#isStrict) refuseArity(property, items !== undefined, initial, at);
    for (const [item, itemAt] of items ?? [[data, at] as const]) this.#item(property, item, itemAt, holder);
  }

  #item(property: ShapeProperty, item: JsonValue, at: At, holder: JsonObject): void {
    const discriminator = discriminatorOf(property);
    const data = isUntagged(item) ? unescaped(item) : {};
    const cls = explained(() => nestedClass(property, data, unescaped(holder)), at);
    if (cls !== undefined) {
      if (this.#isStrict || isUntagged(item)) this.object(cls, item, at, discriminator?.property);
      return;
    }
    if (discriminator !== undefined && isUntagged(item)) {
      const names = discriminator.subTypes.map(({ name }) => JSON.stringify(name)).join(' or ');
      return refuse(`${names} as ${discriminator.property}`, at);
    }
    if (!this.#isStrict) return;
    const type = explained(() => typeOf(property, unescaped(holder)), at);
    if (typeof type === 'function') refuseForeign(type, item, at);
  }
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
  at: At,
  discriminator: string | undefined,
): void {
  for (const key of Object.keys(data)) {
    const own = unescapeKey(key);
    if (properties.has(own) || own === discriminator) continue;
    refuse(`one of the keys that ${cls.name} declares: ${[...properties.keys()].join(', ')}`, [...at, key]);
  }
  for (const { key, name, optional } of properties.values()) {
    if (optional || initial[name] !== undefined) continue;
    const value = member(data, key);
    if (value === undefined) refuse(`${cls.name} to have the key ${JSON.stringify(key)}`, at);
    else if (isUndefined(value)) refuse('a value, and not undefined', [...at, escapeKey(key)]);
  }
}

/** One or several, where the compiler's metadata or the initial value tells. */
function refuseArity({ name, type }: ShapeProperty, isList: boolean, initial: Initial, at: At): void {
  const reflected: unknown = type?.reflectedType;
  const lists: unknown[] = [Array, Set, Map];
  const isListed = lists.includes(reflected) || lists.some((cls) => initial[name] instanceof (cls as typeof Array));
  const isSingle = typeof reflected === 'function' && reflected !== Object && !isListed;
  if (isListed && !isList) refuse('a list', at);
  if (isSingle && isList) refuse('one object, and no list', at);
}

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

/** Under a class that is neither a DTO nor built in there is a value object of its name, and nothing else. */
function refuseForeign(type: object, item: JsonValue, at: At): void {
  if (BUILT_IN.has(type)) return;
  const { name } = type as { readonly name: string };
  if (!isMarkedValue(type)) {
    const expected = `a class that declares properties as @Type of a DTO, or one with @ByValue()`;
    throw ByReferenceError.invalidOption(`class ${name} at ${jsonPath(at)}`, expected, type);
  }
  const body = isTagged(item, '$value') ? item['$value'] : undefined;
  const isIt = Array.isArray(body) && body[0] === nameOfMarked(type);
  if (!isIt) refuse(`a value object ${nameOfMarked(type)}`, at);
}

/** A type function is the application's; what it stumbles over is the payload. */
function explained<T>(run: () => T, at: At): T {
  try {
    return run();
  } catch (cause) {
    throw ByReferenceError.malformed('the function of @Type failed on it', { path: jsonPath(at), cause });
  }
}

/** The items of an array, a Set, or the values of a Map, with their paths; undefined for anything else. */
function itemsOf(data: JsonValue, at: At): (readonly [JsonValue, At])[] | undefined {
  if (Array.isArray(data)) return data.map((item: JsonValue, index) => [item, [...at, index]]);
  if (isTagged(data, '$set') && Array.isArray(data['$set'])) return itemsOf(data['$set'], [...at, '$set']);
  if (!isTagged(data, '$map') || !Array.isArray(data['$map'])) return undefined;
  // The decoder has seen that each entry is a pair.
  return data['$map'].map((entry: readonly JsonValue[], index) => [entry[1]!, [...at, '$map', index, 1]]);
}

const isTagged = (data: JsonValue, tag: string): data is JsonObject => isJsonObject(data) && Object.hasOwn(data, tag);

const isUndefined = (data: JsonValue): boolean => isTagged(data, '$undefined');

const unescaped = (data: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(data).map(([key, value]) => [unescapeKey(key), value]));

function member(data: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(data, escapeKey(key)) ? data[escapeKey(key)] : undefined;
}

function refuse(expected: string, at: At): never {
  throw ByReferenceError.malformed(`expected ${expected}`, { path: jsonPath(at) });
}
