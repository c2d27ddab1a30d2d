import type { ReferenceProperty, Several } from '../models/reference-property.ts';
import { isMarkedValue } from '../models/value-registry.ts';
import { isInstanceOf } from '../orm/entity-class.ts';
import { isEntity } from '../orm/entity.ts';
import { wrapperOf } from '../orm/wrapper.ts';
import { isPlainObject, setOwn } from '../wire/json.ts';
import { isNumeric } from '../wire/values/value-type.ts';
import { discriminatorOf, isShaped, type PlainClass, shapeOf, type ShapeProperty, transform, typeOf } from './shape.ts';

/*
 * class-transformer's decorators are read here, and its transformer is not used: that walks into entities until the
 * stack is full, makes `{}` of a Map, puts initial values in the place of undefined, and drops what it does not know.
 * What a property holds (entities, dates, Maps, other value objects) is for this library's own walkers.
 */

/** The data of an instance, by its decorators. Throws TypeError for a property that would not come back. */
export function toPlain(instance: object): Record<string, unknown> {
  const shape = shapeOf(instance.constructor as PlainClass);
  const names = new Set(shape.properties.map(({ name }) => name));
  for (const name of Object.keys(instance)) {
    if (names.has(name) || shape.isExcluded(name)) continue;
    throw new TypeError(`mark its property "${name}" with @Expose() to keep it, or with @Exclude()`);
  }
  const plain: Record<string, unknown> = {};
  for (const property of shape.properties) {
    if (!property.goes.toPlain) continue;
    const held = (instance as Record<string, unknown>)[property.name];
    const value: unknown = typeof held === 'function' ? held.call(instance) : held;
    if (property.reference !== undefined) refuseUnfit(property, property.reference, value);
    const transformed = transform(property, 'toPlain', value, instance);
    setOwn(plain, property.key, nestedToPlain(property, transformed, instance));
  }
  return plain;
}

/**
 * The instance that `toPlain` made the data of. Keys that the class does not declare are left out. In a DTO undefined
 * does not undo what the constructor has made; a value object may have meant it.
 */
export function fromPlain<T extends object>(cls: PlainClass<T>, data: unknown, isDto = false): T {
  if (typeof data !== 'object' || data === null || !isPlainObject(data)) throw new TypeError('its data is no object');
  const instance = new cls();
  for (const property of shapeOf(cls).properties) {
    if (!property.goes.toClass || !Object.hasOwn(data, property.key)) continue;
    if (isReadOnly(instance, property.name)) continue;
    const given = (data as Record<string, unknown>)[property.key];
    if (isDto && given === undefined) continue;
    const value = nestedFromPlain(property, given, data, isDto);
    (instance as Record<string, unknown>)[property.name] = transform(property, 'toClass', value, data);
  }
  return instance;
}

/** Instances of the property's own `@Type` class become plain data; any other class must be a value object itself. */
function nestedToPlain(property: ShapeProperty, value: unknown, holder: object): unknown {
  if (property.type === undefined || property.transforms.toPlain.length > 0) return value;
  const discriminator = discriminatorOf(property);
  return mapItems(value, (item) => {
    if (typeof item !== 'object' || item === null || isEntity(item) || wrapperOf(item) !== undefined) return item;
    const cls = item.constructor;
    if (isPlainObject(item) && nestedClass(property, item, holder) !== undefined) {
      throw new TypeError(`its property "${property.name}" holds a plain object where a class is declared`);
    }
    if (!isShaped(cls) || isMarkedValue(cls)) return item;
    if (discriminator === undefined) return typeOf(property, holder) === cls ? toPlain(item) : item;
    const subType = discriminator.subTypes.find((candidate) => candidate.value === cls);
    if (subType === undefined) return item;
    const plain = toPlain(item);
    const own = plain[discriminator.property];
    if (own !== undefined && own !== subType.name) {
      throw new TypeError(`its property "${property.name}" says ${String(own)} where ${subType.name} tells its class`);
    }
    return { ...plain, [discriminator.property]: subType.name };
  });
}

function nestedFromPlain(property: ShapeProperty, value: unknown, holder: object, isDto: boolean): unknown {
  if (property.type === undefined || property.transforms.toClass.length > 0) return value;
  const discriminator = discriminatorOf(property);
  const told = scalarsOf(holder);
  return mapItems(value, (item) => {
    if (typeof item !== 'object' || item === null) return converted(item, typeOf(property, told));
    if (!isPlainObject(item)) return item;
    const cls = nestedClass(property, item, told);
    if (cls === undefined) return item;
    const instance = fromPlain(cls, item, isDto);
    if (discriminator !== undefined && property.type?.options?.keepDiscriminatorProperty === true) {
      setOwn(instance, discriminator.property, (item as Record<string, unknown>)[discriminator.property]);
    }
    return instance;
  });
}

/**
 * The class that plain data under a property becomes: that of `@Type`, by the discriminator where there is one.
 * Undefined where that declares nothing, where it is a value object with a name of its own, and for a discriminator
 * that names no subclass.
 */
export function nestedClass(property: ShapeProperty, data: object, holder: object): PlainClass | undefined {
  const discriminator = discriminatorOf(property);
  const name = discriminator && (data as Record<string, unknown>)[discriminator.property];
  const cls =
    discriminator === undefined
      ? typeOf(property, holder)
      : discriminator.subTypes.find((subType) => subType.name === name)?.value;
  return isShaped(cls) && !isMarkedValue(cls) ? cls : undefined;
}

/**
 * What the function of `@Type` is told of the data beside its own: the check, which comes before any row does, knows no
 * more, and both must end with one class.
 */
export function scalarsOf(holder: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(holder).filter(([, value]) => typeof value !== 'object' && typeof value !== 'function'),
  );
}

/** A scalar as `@Type(() => Date)` and the like want it. */
function converted(value: unknown, type: unknown): unknown {
  if (value === null || value === undefined) return value;
  if (type === String || type === Number || type === Boolean) return (type as (of: unknown) => unknown)(value);
  return type === Date ? new Date(value as string | number) : value;
}

/** Maps the items of arrays and Sets and the values of Maps, however deep, or the value itself. */
function mapItems(value: unknown, map: (item: unknown) => unknown): unknown {
  const inner = (item: unknown): unknown => mapItems(item, map);
  if (Array.isArray(value) && Object.getPrototypeOf(value) === Array.prototype) return Array.from(value, inner);
  if (value instanceof Set && Object.getPrototypeOf(value) === Set.prototype)
    return setOf(Array.from(value, inner), value);
  if (value instanceof Map && Object.getPrototypeOf(value) === Map.prototype) {
    return new Map(Array.from(value, ([key, item]) => [key, inner(item)]));
  }
  return map(value);
}

/** Numbers made of texts are limited as numbers in a payload are, and for the same reason. */
function setOf(items: readonly unknown[], texts: ReadonlySet<unknown>): Set<unknown> {
  const made = items.filter((item) => isNumeric(item) && !texts.has(item));
  if (made.length > MOST_NUMBERS) throw new TypeError(`more than ${MOST_NUMBERS} texts become numbers in a Set`);
  return new Set(items);
}

/** The default of `limits.numberKeys`. */
const MOST_NUMBERS = 10_000;

/** What the check on the way back would refuse is refused here, where it can be mended. */
function refuseUnfit({ name, optional }: ShapeProperty, reference: ReferenceProperty, value: unknown): void {
  if (value === undefined && optional) return;
  if (value === null && reference.nullable === true) return;
  const models = [reference.models()].flat();
  const fits = (item: unknown): boolean => {
    if (typeof item !== 'object' || item === null) return false;
    const wrapper = isEntity(item) ? undefined : wrapperOf(item);
    const entity = wrapper?.kind === 'reference' ? wrapper.entity : item;
    return isEntity(entity) && models.some((model) => isInstanceOf(entity, model));
  };
  const { each = false } = reference;
  const isFit = each === false ? fits(value) : itemsOf(value, each)?.every(fits);
  if (isFit !== true) throw new TypeError(`its property "${name}" does not hold what @ByReference declares`);
}

/** The items of what several are in; a loaded collection travels as an array. */
function itemsOf(value: unknown, each: Several): unknown[] | undefined {
  if (each === 'set') return value instanceof Set ? [...value] : undefined;
  if (each === 'map') return value instanceof Map ? [...value.values()] : undefined;
  if (Array.isArray(value)) return value as unknown[];
  const wrapper = typeof value === 'object' && value !== null ? wrapperOf(value) : undefined;
  return wrapper?.kind === 'collection' && wrapper.loaded ? (wrapper.unwrap() as unknown[]) : undefined;
}

/** A getter without a setter computes its value again. */
function isReadOnly(instance: object, name: string): boolean {
  for (let at: object | null = instance; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const descriptor = Object.getOwnPropertyDescriptor(at, name);
    if (descriptor !== undefined) return descriptor.get !== undefined && descriptor.set === undefined;
  }
  return false;
}
