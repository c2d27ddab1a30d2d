import type { AnyEntity, EntityMetadata, EntityProperty } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { isEntity, isLoaded, metadataOf } from '../orm/entity.ts';
import { embeddableOf } from '../orm/metadata.ts';
import { collectionOf, referenceIn, wrapperOf } from '../orm/wrapper.ts';
import { isPlainObject } from '../wire/json.ts';
import { wireNameOf } from './mark.ts';

/** Marks the snapshots of every copy of this package. */
const SNAPSHOT = Symbol.for('mikro-orm-byref.snapshot');

const DETACHED = Symbol.for('mikro-orm-byref.detached');

/** An entity that travels by value; made by `byValue`. */
export class Snapshot<T extends object> {
  /** The entity that is copied when it is serialized. */
  readonly entity: T;

  /** @internal */
  constructor(entity: T) {
    this.entity = entity;
  }

  /** True for a snapshot of any copy of this package. */
  get [SNAPSHOT](): true {
    return true;
  }
}

/**
 * Sends a copy on purpose: `{ shipTo: byValue(order.address) }` is the address at the time of the order, on the wire
 * `{"$snapshot":["Address",{…}]}`. The copy is what memory holds when it is serialized, unflushed changes included and
 * `hidden` properties left out; relations are tokens and come back fresh. It comes back as a detached instance, its
 * collections read-only: no flush writes it, unless it is handed to `persist`, `remove` or a relation of another
 * entity.
 * @throws E_UNSERIALIZABLE for what is no entity.
 */
export function byValue<T extends object>(entity: T): Snapshot<T> {
  if (unwrapped(entity) === undefined) {
    throw ByReferenceError.noEntity('byValue() of what is no entity', entity);
  }
  return new Snapshot(entity);
}

/** The entity that travels by value here: a `byValue()`, or a copy that came from elsewhere and travels on. */
export function copiedEntity(value: object): AnyEntity | undefined {
  if (isEntity(value)) return value;
  return SNAPSHOT in value ? unwrapped((value as Snapshot<object>).entity) : undefined;
}

/** True for a copy that came back from a payload. */
export const isDetached = (entity: object): boolean => Object.hasOwn(entity, DETACHED);

function unwrapped(value: object): AnyEntity | undefined {
  if (isEntity(value)) return value;
  const wrapper = wrapperOf(value);
  return wrapper?.kind === 'reference' ? wrapper.entity : undefined;
}

/**
 * What a copy of an entity holds: its visible properties by name, as far as they are loaded.
 * @throws E_UNSERIALIZABLE.
 */
export function snapshotData(entity: AnyEntity, path: () => string): Record<string, unknown> {
  const metadata = metadataOf(entity);
  if (!isLoaded(entity)) {
    throw ByReferenceError.unserializable(
      `A copy of ${wireNameOf(metadata)}, which is not loaded,`,
      'load it first',
      path(),
    );
  }
  return visible(entity, metadata);
}

/** The properties that a copy carries: neither hidden, nor computed by the class, nor columns of an embedded object. */
export const copiedProperties = (metadata: EntityMetadata): EntityProperty[] =>
  metadata.props.filter(
    (property) => property.hidden !== true && property.getter !== true && property.embedded === undefined,
  );

function visible(object: object, metadata: EntityMetadata): Record<string, unknown> {
  const data: Record<string, unknown> = {};
  for (const property of copiedProperties(metadata)) {
    const value = copyOf((object as Record<string, unknown>)[property.name], property);
    if (value !== undefined) data[property.name] = value;
  }
  return data;
}

/** Undefined for what is not loaded. */
function copyOf(value: unknown, property: EntityProperty): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (property.kind === 'embedded') {
    if (Array.isArray(value)) return value.map((item: unknown) => copyOf(item, property));
    // A plain object where an instance is to be: MikroORM makes one of it when it is flushed.
    return visible(value, isPlainObject(value) ? embeddableOf(property, value)! : metadataOf(value as AnyEntity));
  }
  const wrapper = wrapperOf(value);
  if (wrapper === undefined || wrapper.kind === 'reference') return value;
  return wrapper.loaded ? wrapper.unwrap() : undefined;
}

/**
 * A detached instance of what `snapshotData` wrote. Its properties are its own, past MikroORM's setters: those would
 * enter it into collections of managed entities, and the next flush would write it. Properties that the class no longer
 * has are left out.
 * @throws E_MALFORMED.
 */
export function detachedEntity(metadata: EntityMetadata, data: unknown, path: () => string): object {
  const entity = instance(metadata, data, path);
  Object.defineProperty(entity, DETACHED, { value: true });
  for (const property of metadata.relations) {
    const isUnset = isToMany(property) && !Object.hasOwn(entity, property.name);
    if (isUnset) define(entity, property.name, collectionOf(entity, property, undefined));
  }
  return entity;
}

function instance(metadata: EntityMetadata, data: unknown, path: () => string): object {
  if (typeof data !== 'object' || data === null || !isPlainObject(data)) {
    throw ByReferenceError.malformed(`expected an object as a copy of ${wireNameOf(metadata)}`, { path: path() });
  }
  const made = Object.create((metadata.class as { prototype: object }).prototype) as object;
  for (const property of copiedProperties(metadata)) {
    if (!Object.hasOwn(data, property.name)) continue;
    const refuse: Refuse = (expected) => {
      const what = `expected ${expected} as ${wireNameOf(metadata)}.${property.name}`;
      throw ByReferenceError.malformed(what, { path: path() });
    };
    define(
      made,
      property.name,
      revived((data as Record<string, unknown>)[property.name], property, made, refuse, path),
    );
  }
  return made;
}

type Refuse = (expected: string) => never;

function revived(value: unknown, property: EntityProperty, owner: object, refuse: Refuse, path: () => string): unknown {
  if (isToMany(property)) {
    if (!Array.isArray(value)) return refuse('a list of entities');
    // A row that is gone leaves null, with missing: 'null'; in a collection that is no item.
    const items = value.filter((item) => item !== null);
    return collectionOf(
      owner,
      property,
      items.map((item) => related(item, property, refuse)),
    );
  }
  if (value === null || value === undefined) return value;
  if (property.kind === 'embedded') {
    const embedded = (item: unknown): object => {
      const cls = embeddableOf(property, item);
      return cls === undefined ? refuse('one of its embeddables') : instance(cls, item, path);
    };
    if (property.array !== true) return embedded(value);
    return Array.isArray(value) ? value.map(embedded) : refuse('an array');
  }
  if (property.targetMeta !== undefined && property.mapToPk !== true) {
    return referenceIn(property, related(value, property, refuse));
  }
  return referenceIn(property, value);
}

function related(value: unknown, property: EntityProperty, refuse: Refuse): AnyEntity {
  const isRow = typeof value === 'object' && value !== null && isEntity(value) && !isDetached(value);
  const target = property.targetMeta?.class as (abstract new () => object) | undefined;
  const fits = isRow && (property.polymorphic === true || target === undefined || value instanceof target);
  return fits
    ? value
    : refuse(`a reference to ${property.targetMeta === undefined ? 'an entity' : wireNameOf(property.targetMeta)}`);
}

export const isToMany = (property: EntityProperty): boolean => property.kind === '1:m' || property.kind === 'm:n';

/** Defines a property of the instance's own, past the setters of its prototype. */
function define(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
}
