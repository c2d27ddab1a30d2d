import {
  type AnyEntity,
  Collection,
  type Dictionary,
  type EntityManager,
  type EntityMetadata,
  helper,
  type MikroORM,
  Reference,
  Utils,
} from '@mikro-orm/core';
import { memo } from './memo.ts';

/** An entity: what MikroORM's own symbol marks. JSON can't forge it, and an embeddable is none. */
export const isEntity = (value: object): value is AnyEntity => Utils.isEntity(value);

/** What MikroORM's own toJSON writes. */
export const byValueJson = (entity: AnyEntity): unknown => helper(entity).toObject();

export const metadataOf = (entity: AnyEntity): EntityMetadata => helper(entity).__meta;

export const configOf = (entity: AnyEntity): MikroORM['config'] => helper(entity).__config;

/**
 * - `new`: never flushed, even if it already has a key of the application's own
 * - `removed`: deleted, or scheduled for it
 * - `stored`: read from or written to the database, or a reference to a row
 */
export type EntityState = 'new' | 'removed' | 'stored';

export function stateOf(entity: AnyEntity): EntityState {
  const { __originalEntityData, __managed, __em } = helper(entity);
  // Rows of `em.stream` belong to no EntityManager, but are made without their constructor, as no new entity is.
  const isRow = __originalEntityData !== undefined || __managed === true;
  if (!isRow) return __em === undefined ? 'new' : 'removed';
  return isScheduledForRemoval(__em, entity) ? 'removed' : 'stored';
}

/** What an entity has where its row has NULL. */
export const nullOf = (entity: AnyEntity): null | undefined =>
  helper(entity).__config.get('forceUndefined') ? undefined : null;

/** A reference by another key than the primary one (`targetKey`), which is not known until it is loaded. */
export const isUnidentified = (entity: AnyEntity): boolean => !isLoaded(entity) && !helper(entity).hasPrimaryKey();

export function isScheduledForRemoval(em: EntityManager | undefined, entity: AnyEntity): boolean {
  if (em === undefined) return false;
  const removals = em.getUnitOfWork(false).getRemoveStack();
  // Usually empty, and then not worth hashing the entity for.
  return removals.size > 0 && removals.has(entity);
}

export const isLoaded = (entity: AnyEntity): boolean => helper(entity).isInitialized();

/**
 * Flat key values of an entity as its properties hold them; a foreign key contributes the key it points to, however
 * deep. MikroORM's own list has objects in it where that holds a foreign key of several columns.
 */
export const keyValuesOf = (entity: AnyEntity): unknown[] =>
  metadataOf(entity)
    .getPrimaryProps()
    .flatMap(({ name, targetMeta }) => {
      const held = (entity as Dictionary)[name] as unknown;
      const target = Reference.isReference(held) ? held.unwrap() : held;
      if (targetMeta !== undefined && isEntity(target as object)) return keyValuesOf(target as AnyEntity);
      // A foreign key by its value alone, as with mapToPk.
      return Array.isArray(held) ? (Utils.flatten(held, true) as unknown[]) : [held];
    });

/** The schema of an entity's row, where MikroORM knows one. */
export const rowSchemaOf = (entity: AnyEntity): string | undefined => helper(entity).__schema;

/**
 * The value of a property as the database last told it, or as it was last written there. After an UPDATE MikroORM
 * keeps a version only on the entity.
 */
export function storedValue(entity: AnyEntity, property: string): unknown {
  const stored = helper(entity).__originalEntityData as Dictionary | undefined;
  return stored !== undefined && property in stored ? stored[property] : (entity as Dictionary)[property];
}

/** The columns that a flush would write of this entity, by property; those of embedded objects by MikroORM's flat names. */
export function changesOf(entity: AnyEntity): ReadonlySet<string> {
  const wrapped = helper(entity);
  const stored = wrapped.__originalEntityData;
  const { __touched } = wrapped as { readonly __touched?: boolean };
  const isReference = !wrapped.__initialized;
  // MikroORM 6 may tell a reference of a 1:1 from the other side, and writes nothing of one that nobody else has set.
  if (stored === undefined || wrapped.__em === undefined || (isReference && __touched === false)) return NONE;
  settleSnapshot(entity);
  const comparator = wrapped.__em.getComparator();
  const diff: Dictionary = comparator.diffEntities(wrapped.__meta.class, stored, comparator.prepareEntity(entity));
  const names = new Set(Object.keys(diff));
  // Of one that is not loaded it writes all but what is undefined.
  if (isReference) for (const name of names) if (diff[name] === undefined) names.delete(name);
  // MikroORM 6 compares the class of a reference with nothing.
  const { discriminatorColumn } = wrapped.__meta.root;
  if (discriminatorColumn !== undefined && !(discriminatorColumn in stored)) names.delete(discriminatorColumn);
  return names;
}

const NONE: ReadonlySet<string> = new Set();

const constructsAny = memo((all: Iterable<EntityMetadata>) =>
  Array.from(all).some(({ forceConstructor }) => forceConstructor === true),
);

/** Whether MikroORM makes the entities of rows, or embedded objects in them, by their constructors. */
export const constructsEntities = (em: EntityManager): boolean => constructsAny(em.getMetadata());

/**
 * Of entities that are made by their constructors, MikroORM keeps lists and embedded objects as the text that the row
 * had, and takes them for changed at once.
 */
function settleSnapshot(entity: AnyEntity): void {
  const { __meta, __originalEntityData: stored, __em: em } = helper(entity);
  if (stored === undefined || em === undefined || !constructsEntities(em)) return;
  const prepared = em.getComparator().prepareEntity(entity) as Dictionary;
  for (const { name, kind, customType } of __meta.props) {
    const text = (stored as Dictionary)[name] as unknown;
    const value = prepared[name] as unknown;
    if (typeof text !== 'string' || value === null || typeof value !== 'object') continue;
    if (kind === 'embedded') (stored as Dictionary)[name] = JSON.parse(text);
    else if (customType !== undefined)
      (stored as Dictionary)[name] = customType.convertToJSValue(text, em.getPlatform());
  }
}

/** Right after it was hydrated, an entity is what its row is. */
export function settleHydrated(entity: AnyEntity): AnyEntity {
  const { __meta, __originalEntityData: stored, __em: em } = helper(entity);
  if (stored === undefined || em === undefined || !constructsEntities(em)) return entity;
  const comparator = em.getComparator();
  Object.assign(stored, comparator.diffEntities(__meta.class, stored, comparator.prepareEntity(entity)));
  return entity;
}

/** True when a flush would write something about this entity. */
export function hasPendingChanges(entity: AnyEntity): boolean {
  if (changesOf(entity).size > 0) return true;
  const { __originalEntityData, __meta } = helper(entity);
  if (__originalEntityData === undefined) return false;
  return __meta.relations.some((relation) => {
    const value = (entity as Dictionary)[relation.name] as unknown;
    return relation.kind === 'm:n' && Utils.isCollection(value) && (value as Collection<AnyEntity>).isDirty();
  });
}

/** True when a row of it was read in part, as with `fields`. What the user has set, or written, is not missing. */
function isPartial(entity: AnyEntity): boolean {
  const {
    __meta,
    __config,
    __loadedProperties,
    __originalEntityData: stored = {},
  } = helper(entity) as unknown as {
    __meta: EntityMetadata;
    __config: MikroORM['config'];
    __loadedProperties: ReadonlySet<string>;
    __originalEntityData?: Dictionary;
  };
  const missing = [
    ...__meta.comparableProps.filter(
      ({ name, lazy, kind, object }) =>
        lazy !== true &&
        !(kind === 'embedded' && object !== true) &&
        !__loadedProperties.has(name) &&
        !(name in stored),
    ),
    ...__meta.props.filter(
      ({ name, lazy, formula, version, kind, owner }) =>
        lazy !== true &&
        (formula !== undefined || version === true || kind === '1:1') &&
        (entity as Dictionary)[name] === undefined &&
        // What is undefined for NULL is there.
        !(nullOf(entity) === undefined && __loadedProperties.has(name)) &&
        (kind !== '1:1' || owner || __config.get('autoJoinOneToOneOwner')) &&
        // A 1:1 that another row has taken over is so before the flush too.
        !(owner === true && name in stored),
    ),
  ];
  if (missing.length === 0) return false;
  const changes = changesOf(entity);
  return missing.some(({ name }) => !changes.has(name));
}

/** True when all of its row is here that `em.findOne` would read. */
export const isWhole = (entity: AnyEntity): boolean => isLoaded(entity) && !isPartial(entity);

/** The EntityManager that manages an entity. */
export const entityManagerOf = (entity: AnyEntity): EntityManager | undefined => helper(entity).__em;
