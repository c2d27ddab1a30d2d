import { instanceToPlain, plainToInstance } from 'class-transformer';
import { isPlainObject } from '../json.ts';
import { isEntity, wrapperOf } from '../orm.ts';
import { isMarkedValue } from '../value-registry.ts';
import {
  discriminatorOf,
  isShaped,
  nestedClass,
  type PlainClass,
  type Shape,
  shapeOf,
  type ShapeProperty,
} from './shape.ts';

/*
 * class-transformer maps one object at a time here, and only what is scalar in it. On its own it walks into entities
 * until the stack is full, and makes `{}` of a Map. So everything else goes past it: instances of `@Type` classes are
 * mapped by themselves, and entities, other value objects, dates, Maps and Sets are this library's to encode.
 */

/** The data of an instance, by its decorators. Throws TypeError for a property that would not come back. */
export function toPlain(instance: object): Record<string, unknown> {
  const shape = shapeOf(instance.constructor as PlainClass);
  const concealed = new Map<string, unknown>();
  const plain = instanceToPlain(conceal(instance, shape, concealed), { exposeDefaultValues: true });
  for (const [name, value] of concealed) {
    const property = propertyNamed(shape, name);
    const key = property?.key ?? name;
    // Not there when `@Exclude` has kept it out.
    if (Object.hasOwn(plain, key)) plain[key] = property === undefined ? value : nestedToPlain(property, value);
  }
  for (const key of Object.keys(plain)) {
    if (!shape.properties.has(key) && !shape.plainOnly.has(key)) {
      throw new TypeError(`mark its property "${key}" with @Expose() to keep it, or with @Exclude()`);
    }
  }
  return plain;
}

/** The instance that `toPlain` made the data of. Keys that the class does not declare are left out. */
export function fromPlain<T extends object>(cls: PlainClass<T>, data: Readonly<Record<string, unknown>>): T {
  const shape = shapeOf(cls);
  const plain: Record<string, unknown> = {};
  const others: [property: ShapeProperty, value: unknown][] = [];
  for (const [key, given] of Object.entries(data)) {
    const property = shape.properties.get(key);
    if (property === undefined) continue;
    const value = property.transforms.toClass ? given : nestedFromPlain(property, given);
    const passes = property.reference === undefined && isMappable(value, property.transforms.toClass);
    if (passes) plain[key] = value;
    else others.push([property, value]);
  }
  const instance = plainToInstance(cls, plain, { exposeDefaultValues: true });
  for (const [{ name }, value] of others) {
    if (!isReadOnly(cls.prototype as object, name)) (instance as Record<string, unknown>)[name] = value;
  }
  return instance;
}

/**
 * What class-transformer sees of an instance: null in place of what it must not touch, which lands in `concealed`. A
 * view and no copy, because getters may need the instance's private fields.
 */
function conceal(instance: object, shape: Shape, concealed: Map<string, unknown>): object {
  const show = (name: string | symbol, value: unknown): unknown => {
    if (typeof name === 'symbol' || name === 'constructor') return value;
    if (typeof value === 'function') return (): unknown => show(name, value.call(instance));
    if (isMappable(value, propertyNamed(shape, name)?.transforms.toPlain ?? false)) return value;
    concealed.set(name, value);
    return null;
  };
  // The target is empty: a frozen instance as target would forbid showing null.
  return new Proxy(Object.create(Object.getPrototypeOf(instance) as object) as object, {
    get: (_target, name) => show(name, Reflect.get(instance, name, instance)),
    ownKeys: () => Reflect.ownKeys(instance),
    getOwnPropertyDescriptor(_target, name) {
      const descriptor = Reflect.getOwnPropertyDescriptor(instance, name);
      return descriptor && { ...descriptor, configurable: true };
    },
  });
}

/** True for what class-transformer may map: scalars and lists of them; with a `@Transform`, anything without entities. */
function isMappable(value: unknown, transforms: boolean): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (transforms) return !holdsEntity(value);
  return Array.isArray(value) && value.every((item) => typeof item !== 'object' || item === null);
}

function holdsEntity(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (isEntity(value) || wrapperOf(value) !== undefined) return true;
  if (value instanceof Map) return [...value].some((entry) => entry.some(holdsEntity));
  if (value instanceof Set || Array.isArray(value)) return [...value].some(holdsEntity);
  return isPlainObject(value) && Object.values(value).some(holdsEntity);
}

/** Instances of the property's own `@Type` class become plain data; any other class must be a value object itself. */
function nestedToPlain(property: ShapeProperty, value: unknown): unknown {
  return mapItems(value, (item) => {
    if (typeof item !== 'object' || item === null || property.type === undefined) return item;
    const cls = item.constructor;
    if (!isShaped(cls) || isMarkedValue(cls)) return item;
    const discriminator = discriminatorOf(property.type);
    if (discriminator === undefined) return nestedClass(property, {}) === cls ? toPlain(item) : item;
    const subType = discriminator.subTypes.find((candidate) => candidate.value === cls);
    return subType === undefined ? item : { ...toPlain(item), [discriminator.property]: subType.name };
  });
}

function nestedFromPlain(property: ShapeProperty, value: unknown): unknown {
  return mapItems(value, (item) => {
    if (typeof item !== 'object' || item === null || !isPlainObject(item)) return item;
    const cls = nestedClass(property, item as Record<string, unknown>);
    return cls === undefined ? item : fromPlain(cls, item as Record<string, unknown>);
  });
}

/** Maps the items of an array or a Set, the values of a Map, or the value itself. */
function mapItems(value: unknown, map: (item: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map(map);
  if (value instanceof Set) return new Set([...value].map(map));
  if (value instanceof Map) return new Map(Array.from(value, ([key, item]) => [key, map(item)]));
  return map(value);
}

function propertyNamed(shape: Shape, name: string): ShapeProperty | undefined {
  for (const property of shape.properties.values()) if (property.name === name) return property;
  return undefined;
}

/** A getter without a setter computes its value again. */
function isReadOnly(prototype: object, name: string): boolean {
  for (let at: object | null = prototype; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const descriptor = Object.getOwnPropertyDescriptor(at, name);
    if (descriptor !== undefined) return descriptor.get !== undefined && descriptor.set === undefined;
  }
  return false;
}
