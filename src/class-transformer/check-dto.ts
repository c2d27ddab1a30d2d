import type { EntityProperty } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { type Model, type ModelRegistry, requireModel } from '../models/model-registry.ts';
import type { Declared, ReferenceProperty, Several } from '../models/reference-property.ts';
import { isMarkedValue, nameOfMarked } from '../models/value-registry.ts';
import { isEntity } from '../orm/entity.ts';
import { targetsOf } from '../orm/metadata.ts';
import { isError, reasonOf } from '../orm/orm-error.ts';
import type { JsonObject, JsonValue, PathSegment } from '../wire/json.ts';
import { escapeKey, isUntagged, unescapeKey } from '../wire/tags.ts';
import { EntityToken } from '../wire/token.ts';
import { checkCopy } from './check-copy.ts';
import { isTagged, isUndefined, refuse, refuseNamed, scalarIn } from './closed.ts';
import { Place } from './place.ts';
import { fromPlain, nestedClass, scalarsOf } from './plain.ts';
import { severalOf } from './several.ts';
import { discriminatorOf, isShaped, type PlainClass, shapeOf, type ShapeProperty, typeOf } from './shape.ts';

/**
 * Checks data against a DTO before anything is loaded: declared keys only, the required ones there, references where
 * they are declared. Throws E_MALFORMED with the path, E_INVALID_OPTION for a class that declares nothing.
 */
export function checkDto(cls: PlainClass, data: JsonValue, declared: Declared, registry: ModelRegistry): void {
  if (!isShaped(cls)) {
    throw ByReferenceError.invalidOption(
      'option as',
      'a class with properties that @Expose, @Type, @ByReference or defineDto() declare',
      cls,
    );
  }
  new Checker(declared, registry).object(cls, data, new Place(() => []));
}

/** Notes the references that a value object declares; its other keys are its own business. */
export function checkReferences(
  cls: PlainClass,
  data: JsonValue,
  at: () => readonly PathSegment[],
  declared: Declared,
): void {
  new Checker(declared).object(cls, data, new Place(at));
}

/** The instance of a checked DTO. Throws E_MALFORMED where its setters or transforms fail. */
export function makeDto<T extends object>(cls: PlainClass<T>, data: unknown): T {
  try {
    return fromPlain(cls, data, true);
  } catch (cause) {
    const reason = isError(cause) ? `: ${reasonOf(cause)}` : '';
    throw ByReferenceError.malformed(`${cls.name} does not take the data${reason}`, { path: '$', cause });
  }
}

class Checker {
  readonly #declared: Declared;
  /** A DTO is a closed shape, with the value objects and copies in it. A value object by itself only has its references noted. */
  readonly #isClosed: boolean;
  readonly #registry: ModelRegistry | undefined;
  readonly #admitted = new Map<PlainClass, ReadonlySet<Model>>();
  /** What the relations of copies declare. */
  readonly #relations = new Map<EntityProperty, ReferenceProperty>();

  /** The registry is given for a DTO. */
  constructor(declared: Declared, registry?: ModelRegistry) {
    this.#declared = declared;
    this.#isClosed = registry !== undefined;
    this.#registry = registry;
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
      this.#declared.note((item as JsonObject)['$entity']!, { property, place: itemAt });
    }
  }

  /** The objects under a `@Type` class are DTOs themselves, value objects of that name, copies, or tokens. */
  #nested(property: ShapeProperty, data: JsonValue, at: Place, holder: JsonObject, initial: Initial): void {
    if (data === null && property.nullable) return;
    const told = scalarsOf(unescaped(holder));
    const several = this.#isClosed ? severalOf(property, initial) : undefined;
    const among = several === undefined ? (this.#isClosed ? [true] : EVERY) : [several];
    const items = several === false ? undefined : itemsOf(data, at, among);
    if (several !== undefined && several !== false && items === undefined) {
      return refuse(`${IN_WORDS.get(several)}`, at);
    }
    if (several === false && itemsOf(data, at, EVERY) !== undefined) return refuse('one object, and no list', at);
    for (const [item, itemAt] of items ?? [[data, at] as const]) this.#item(property, item, itemAt, told);
  }

  #item(property: ShapeProperty, item: JsonValue, at: Place, told: object): void {
    const discriminator = discriminatorOf(property);
    const isData = isUntagged(item);
    const cls = explained(() => nestedClass(property, isData ? unescaped(item) : {}, told), at);
    if (cls !== undefined) {
      if (this.#isClosed || isData) this.object(cls, item, at, discriminator?.property);
      return;
    }
    if (discriminator !== undefined && (isData || this.#isClosed)) {
      const names = discriminator.subTypes.map(({ name }) => JSON.stringify(name)).join(' or ');
      return refuse(`${names} as ${discriminator.property}`, at);
    }
    if (!this.#isClosed) return;
    const type = explained(() => typeOf(property, told), at);
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
      if (!isTagged(item, '$snapshot')) return refuse(`a copy of ${type.name}`, at);
      this.#copy(type as PlainClass, item['$snapshot'] as readonly [string, JsonObject], new Place(at, '$snapshot'));
    } else {
      const expected = `a class that declares properties as @Type of a DTO, one with @ByValue(), or an entity for a copy`;
      throw ByReferenceError.invalidOption(`class ${type.name} at ${at.path}`, expected, type);
    }
  }

  /** The decoder has seen that it is a name and an object. */
  #copy(cls: PlainClass, [name, data]: readonly [string, JsonObject], at: Place): void {
    const registry = this.#registry!;
    let admitted = this.#admitted.get(cls);
    if (admitted === undefined) this.#admitted.set(cls, (admitted = registry.admittedBy([cls])));
    const { metadata } = requireModel(name, admitted, registry, () => at.path);
    checkCopy(metadata, data, new Place(at, 1), (body, relation, place) => {
      this.#declared.note(body, { property: this.#relation(relation), place });
    });
  }

  /** A relation to a class of which there are no models takes no reference. */
  #relation(relation: EntityProperty): ReferenceProperty {
    let property = this.#relations.get(relation);
    if (property === undefined) {
      const classes = targetsOf(relation).flatMap((target) => this.#registry!.classOf(target.class) ?? []);
      this.#relations.set(relation, (property = { models: () => classes }));
    }
    return property;
  }
}

/** What the constructor gives the properties. */
type Initial = Readonly<Record<string, unknown>>;

function initialOf(cls: PlainClass): Initial {
  try {
    return new cls() as Initial;
  } catch (cause) {
    const reason = isError(cause) ? ` (${reasonOf(cause)})` : '';
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

/** As it comes back: its keys, and the scalars among its values. */
const unescaped = (data: JsonObject): Record<string, unknown> =>
  Object.fromEntries(Object.entries(data).map(([key, value]) => [unescapeKey(key), scalarIn(value)]));

function member(data: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(data, escapeKey(key)) ? data[escapeKey(key)] : undefined;
}
