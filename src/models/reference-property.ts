import type { FilterOptions } from '@mikro-orm/core';
import { type Check, check, isListOf, isName, isObject, oneOf } from '../check.ts';
import { ByReferenceError } from '../errors.ts';
import { classes, type EntityClass, type EntityType } from '../orm/entity-class.ts';
import type { JsonValue } from '../wire/json.ts';
import { aFilter, aMissingPolicy, type MissingPolicy, type PerModel } from './per-model.ts';

/**
 * What classes declare of a payload. References are known by the very array that is their token: paths would take
 * memory by the depth at which each one is. JSON that was not parsed may hold one array in several places.
 */
export class Declared {
  #references: Map<JsonValue, DeclaredReference[]> | undefined;

  /** No class declares a reference. */
  get isEmpty(): boolean {
    return this.#references === undefined;
  }

  /** A property declares the reference that an array is the token of. */
  note(body: JsonValue, reference: DeclaredReference): void {
    this.#references ??= new Map();
    const others = this.#references.get(body);
    if (others === undefined) this.#references.set(body, [reference]);
    else others.push(reference);
  }

  /** The properties that declare a reference, by the array that is its token. */
  of(body: JsonValue): readonly DeclaredReference[] {
    return this.#references?.get(body) ?? [];
  }
}

/** A reference where a class declares one. */
export interface DeclaredReference {
  /** What is declared of it. */
  readonly property: ReferenceProperty;
  /** Where it is in the payload. */
  readonly place: { readonly path: string };
}

/** What one property of a DTO says about the entity in it; goes before the call's options. */
export interface ReferencePropertyOptions {
  /**
   * The property holds several: in an array (`true`), a Set (`'set'`), or as the values of a Map (`'map'`).
   * @defaultValue false
   */
  readonly each?: Several;
  /**
   * The key may be absent.
   * @defaultValue true for a property with an initial value, else false
   */
  readonly optional?: boolean;
  /**
   * The value may be null.
   * @defaultValue false
   */
  readonly nullable?: boolean;
  /**
   * What stands for a row that is gone; `omit` leaves the property as the constructor made it.
   * @defaultValue what the call, the model or the serializer says
   */
  readonly missing?: MissingPolicy;
  /**
   * Relations to load, as in `em.find`; per model where the property is polymorphic.
   * @defaultValue what the call, the model or the serializer says
   */
  readonly populate?: readonly string[] | PerModel<readonly string[]>;
  /**
   * Filters to switch, as in `em.find`.
   * @defaultValue what the call, the model or the serializer says
   */
  readonly filters?: FilterOptions;
  /**
   * Narrows the declared classes, to some subclasses of them.
   * @defaultValue none
   */
  readonly only?: readonly EntityType[];
}

/** The classes a reference may be of; a function, because entity modules import each other in circles. */
export type Models = () => EntityType | readonly EntityType[];

/** What `ref(models, options)` makes: a property that holds references. */
export interface ReferenceProperty extends ReferencePropertyOptions {
  /** The classes that the entity may be of. */
  readonly models: Models;
}

/** A property of a DTO that holds anything but a declared reference. */
export interface FieldProperty {
  /**
   * For a property with a `@Type` class: it holds several, in an array (`true`), a Set (`'set'`), or as the values of a
   * Map (`'map'`).
   * @defaultValue what the initial value is, or the compiler's metadata says; else one or an array
   */
  readonly each?: Several;
  /**
   * The key may be absent.
   * @defaultValue true for a property with an initial value, else false
   */
  readonly optional?: boolean;
  /**
   * For a property with a `@Type` class: the value may be null.
   * @defaultValue false
   */
  readonly nullable?: boolean;
}

/** False for one; else what they are in. */
export type Several = boolean | 'set' | 'map';

/** A property of a DTO, as `ref()` or `field()` makes one for `defineDto`. */
export type DtoProperty = ReferenceProperty | FieldProperty;

const PROPERTY_CHECKS: Record<keyof ReferencePropertyOptions, Check> = {
  each: oneOf(true, false, 'set', 'map'),
  optional: oneOf(true, false),
  nullable: oneOf(true, false),
  missing: aMissingPolicy,
  populate: ['relations, or an object with relations per model', (value) => isListOf(isName)(value) || isObject(value)],
  filters: aFilter,
  only: classes,
};

const checkReferencePropertyOptions = (options: ReferencePropertyOptions): void =>
  check(options, PROPERTY_CHECKS, '@ByReference option ');

const PROPERTIES = Symbol.for('mikro-orm-byref.properties');

interface DescribedClass {
  readonly [PROPERTIES]?: ReadonlyMap<string, DtoProperty>;
}

/**
 * Makes a reference property of what a decorator or `ref()` was given.
 * @throws E_INVALID_OPTION.
 */
export function referenceProperty(models: Models, options: ReferencePropertyOptions = {}): ReferenceProperty {
  checkReferencePropertyOptions(options);
  if (options.missing === 'omit' && options.each !== true && options.optional !== true) {
    throw ByReferenceError.invalidOption('option missing', 'each or optional beside it', 'omit');
  }
  return { ...options, models };
}

/** Writes a property into the class's own table; the decorators of a class run one by one. */
export function describeProperty(cls: EntityClass, name: string, property: DtoProperty): void {
  const own = Object.hasOwn(cls, PROPERTIES) ? (cls as DescribedClass)[PROPERTIES] : undefined;
  const value = new Map(own).set(name, property);
  Object.defineProperty(cls, PROPERTIES, { value, configurable: true });
}

/** The described properties of a class, those of its base classes included. */
export function propertiesOf(cls: unknown): ReadonlyMap<string, DtoProperty> {
  if (typeof cls !== 'function' || cls === Function.prototype) return new Map();
  const own = Object.hasOwn(cls, PROPERTIES) ? (cls as DescribedClass)[PROPERTIES] : undefined;
  return new Map([...propertiesOf(Object.getPrototypeOf(cls)), ...(own ?? [])]);
}

/**
 * The property form of `@ByReference`.
 * @throws E_INVALID_OPTION where it is no legacy property decorator.
 */
export function decorateProperty(models: Models, options?: ReferencePropertyOptions) {
  const property = referenceProperty(models, options);
  return (target: object, name: string | symbol): void => {
    if (typeof target !== 'object' || target === null || typeof name !== 'string') {
      // A TC39 field decorator never sees its class.
      throw ByReferenceError.invalidOption(
        '@ByReference on a property',
        'a legacy decorator on a named property; with TC39 decorators use defineDto()',
        name,
      );
    }
    describeProperty(target.constructor as EntityClass, name, property);
  };
}
