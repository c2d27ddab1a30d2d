import type { DeclaredReferences } from '../declared-references.ts';
import { ByReferenceError } from '../errors.ts';
import { isJsonObject, isPlainObject, jsonPath, type JsonObject, type JsonValue, type PathSegment } from '../json.ts';
import type { EntityClass } from '../options.ts';
import {
  type DtoProperty,
  describeProperty,
  type FieldProperty,
  type Models,
  type ReferenceProperty,
  referenceProperty,
  type ReferencePropertyOptions,
} from '../reference-property.ts';
import { fromPlain } from './plain.ts';
import {
  discriminatorOf,
  isShaped,
  nestedClass,
  type PlainClass,
  type Shape,
  shapeOf,
  type ShapeProperty,
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
    return fromPlain(cls, data as Record<string, unknown>);
  } catch (cause) {
    const reason = cause instanceof Error ? `: ${cause.message}` : '';
    throw ByReferenceError.malformed(`${cls.name} does not take the data${reason}`, { path: '$', cause });
  }
}

type At = readonly PathSegment[];

class Checker {
  readonly #declared: DeclaredReferences;
  readonly #isStrict: boolean;

  constructor(declared: DeclaredReferences, isStrict: boolean) {
    this.#declared = declared;
    this.#isStrict = isStrict;
  }

  object(cls: PlainClass, data: JsonValue, at: At, discriminator?: string): void {
    if (!isUntagged(data)) return refuse(`an object as ${cls.name}`, at);
    const shape = shapeOf(cls);
    const keys = new Map(Object.keys(data).map((key) => [key.startsWith('$') ? key.slice(1) : key, key]));
    if (this.#isStrict) refuseKeys(shape, keys, at, discriminator);
    for (const property of shape.properties.values()) {
      const key = keys.get(property.key);
      if (key !== undefined) this.#property(property, data[key]!, [...at, key]);
    }
  }

  #property(property: ShapeProperty, data: JsonValue, at: At): void {
    if (isUndefined(data) && property.optional) return;
    if (property.reference !== undefined) this.#reference(property.reference, data, at);
    else if (property.type !== undefined && !property.transforms.toClass) this.#nested(property, data, at);
  }

  #reference(property: ReferenceProperty, data: JsonValue, at: At): void {
    if (data === null && property.nullable === true) return;
    const isList = property.each === true;
    const items = isList ? itemsOf(data, at) : [[data, at] as const];
    if (items === undefined) refuse('an array, a Set or a Map of references', at);
    for (const [item, itemAt] of items!) {
      if (!isTagged(item, '$entity')) refuse(item === null ? 'a reference, and not null' : 'a reference', itemAt);
      this.#declared.set(jsonPath(itemAt), property);
    }
  }

  /** The objects under a `@Type` class are DTOs themselves. */
  #nested(property: ShapeProperty, data: JsonValue, at: At): void {
    const discriminator = discriminatorOf(property.type!);
    for (const [item, itemAt] of itemsOf(data, at) ?? [[data, at]]) {
      if (item === null || isUndefined(item) || isTagged(item, '$value') || isTagged(item, '$snapshot')) continue;
      const cls = nestedClass(property, isUntagged(item) ? item : {});
      if (cls !== undefined) this.object(cls, item, itemAt, discriminator?.property);
      else if (discriminator !== undefined) {
        const names = discriminator.subTypes.map(({ name }) => JSON.stringify(name)).join(' or ');
        refuse(`${names} as ${discriminator.property}`, itemAt);
      }
    }
  }
}

function refuseKeys(shape: Shape, keys: ReadonlyMap<string, string>, at: At, discriminator: string | undefined): void {
  for (const [key, wire] of keys) {
    if (!shape.properties.has(key) && key !== discriminator) {
      refuse(`one of the keys that ${shape.class.name} declares: ${[...shape.properties.keys()].join(', ')}`, [
        ...at,
        wire,
      ]);
    }
  }
  const initial = new shape.class() as Record<string, unknown>;
  for (const { key, name, optional } of shape.properties.values()) {
    const isRequired = !optional && initial[name] === undefined;
    if (isRequired && !keys.has(key)) refuse(`${shape.class.name} to have the key ${JSON.stringify(key)}`, at);
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

/** True for an object that is data and no tag; a tag stands alone. */
const isUntagged = (data: JsonValue): data is JsonObject =>
  isJsonObject(data) &&
  isPlainObject(data) &&
  !Object.keys(data).some((key) => key.startsWith('$') && !key.startsWith('$$'));

function refuse(expected: string, at: At): never {
  throw ByReferenceError.malformed(`expected ${expected}`, { path: jsonPath(at) });
}
