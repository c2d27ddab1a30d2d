import { type AnyEntity, type Dictionary, type EntityMetadata, helper, Reference } from '@mikro-orm/core';
import type { EntityProperty } from '@mikro-orm/core';
import { changesOf, isEntity } from './entity.ts';
import { memo } from './memo.ts';

/**
 * 1:1 relations that both sides know. Who sets one side, MikroORM sets the other, hydration too: a row that is read
 * would change foreign keys of entities that are other rows', and the next flush would write them.
 */

interface OneToOne {
  readonly property: EntityProperty;
  readonly other: EntityProperty;
}

const oneToOnes = memo(({ relations }: EntityMetadata): readonly OneToOne[] =>
  relations.flatMap((property) => {
    const other = property.targetMeta?.properties[
      (property.inversedBy ?? property.mappedBy) as never
    ] as EntityProperty;
    return property.kind === '1:1' && other !== undefined ? [{ property, other }] : [];
  }),
);

/** The managed entity of a row's key. */
export type FindManaged = (metadata: EntityMetadata, key: Dictionary) => AnyEntity | undefined;

/** A side of a relation as it was, and as it was stored where it is a foreign key. */
export interface Side {
  readonly entity: AnyEntity;
  readonly name: string;
  readonly value: unknown;
  readonly stored: unknown;
  readonly touched: boolean | undefined;
}

/**
 * Hydrates a row so that no foreign key changes but its own, nor what follows from another. One that was not known may
 * be learned from it, and is then no change. `around` are the keys to be put back of the rows that it is hydrated
 * within: MikroORM may have taken them away already, which is no change of the user's.
 */
export function withForeignKeysOfOthers(
  find: FindManaged,
  entity: AnyEntity | undefined,
  data: Dictionary,
  metadata: EntityMetadata,
  refreshes: (entity: AnyEntity) => boolean,
  around: Side[][],
  hydrate: () => AnyEntity,
): AnyEntity {
  const relations = oneToOnes(metadata);
  if (relations.length === 0) return hydrate();
  for (const side of around.flat()) if (side.entity === entity) restoreSide(side);
  const keys: Side[] = [];
  const inverses: Side[] = [];
  for (const { property, other } of relations) {
    const before = entity === undefined ? undefined : entityIn(entity, property.name);
    for (const partner of partnersOf(find, before, data, property)) {
      // Asked before this row tells it of itself.
      refreshes(partner);
      const holder = property.owner ? entityIn(partner, other.name) : partner;
      if (holder === undefined || holder === entity) continue;
      const [key, inverse] = property.owner ? [property.name, other.name] : [other.name, property.name];
      keys.push(sideOf(holder, key));
      // What the user has given another row is that one's on both sides.
      if (property.owner && changesOf(holder).has(key)) inverses.push(sideOf(partner, inverse));
      // What loses the row, or its partner, belongs to another one as before.
      const left = property.owner ? before : entityIn(holder, key);
      if (left !== undefined && left !== entity && (!property.owner || left === partner)) {
        inverses.push(sideOf(left, inverse));
      }
    }
  }
  around.push(keys);
  let hydrated: AnyEntity;
  try {
    hydrated = hydrate();
  } finally {
    around.pop();
  }
  for (const key of keys) restoreSide(key);
  for (const sides of around) {
    for (const [index, { entity: holder, name }] of sides.entries())
      if (holder === hydrated) sides[index] = sideOf(holder, name);
  }
  for (const { entity: holder, name, value } of inverses) {
    if (value !== undefined) wrappedOf(holder).__data[name] = value;
  }
  return hydrated;
}

/** The entities that are, and are to be, at the other end. */
function partnersOf(
  find: FindManaged,
  before: AnyEntity | undefined,
  data: Dictionary,
  { name, targetMeta }: EntityProperty,
): Set<AnyEntity> {
  const partners = new Set<AnyEntity>();
  const value = data[name] as unknown;
  if (value === undefined) return partners;
  if (before !== undefined) partners.add(before);
  const next = value === null ? undefined : find(targetMeta!, keyIn(value, targetMeta!));
  if (next !== undefined) partners.add(next);
  return partners;
}

/** The key of a related row, which has come alone or with the row. */
export function keyIn(value: unknown, { primaryKeys }: EntityMetadata): Dictionary {
  if (typeof value === 'object' && !Array.isArray(value)) return value as Dictionary;
  const parts = [value].flat();
  return Object.fromEntries(primaryKeys.map((name, index) => [name, parts[index]]));
}

/** What a relation holds, without the reference around it; with `mapToPk` it holds none. */
export function entityIn(entity: AnyEntity, name: string): AnyEntity | undefined {
  const value = (entity as Dictionary)[name] as object | null | undefined;
  const held = Reference.isReference(value) ? (value.unwrap() as object) : value;
  return held != null && isEntity(held) ? held : undefined;
}

export const sideOf = (entity: AnyEntity, name: string): Side => ({
  entity,
  name,
  value: (entity as Dictionary)[name],
  stored: wrappedOf(entity).__originalEntityData?.[name],
  touched: wrappedOf(entity).__touched,
});

export function restoreSide({ entity, name, value, stored }: Side): void {
  if ((entity as Dictionary)[name] === value) return;
  const { __data, __originalEntityData } = wrappedOf(entity);
  if (value !== undefined) {
    __data[name] = value;
    if (stored !== undefined) __originalEntityData![name] = stored;
    else delete __originalEntityData?.[name];
  } else if (__originalEntityData !== undefined) {
    const learned = entityIn(entity, name);
    __originalEntityData[name] = learned === undefined ? null : helper(learned).getPrimaryKey(true);
  }
}

/** Puts a foreign key back that was taken away, unless the holder's own row has said so. */
export function restoreHolder({ entity, name, value, stored, touched }: Side): void {
  const wrapped = wrappedOf(entity);
  if (value == null || wrapped.__data[name] != null || wrapped.__originalEntityData?.[name] !== stored) return;
  wrapped.__data[name] = value;
  if (touched !== undefined) wrapped.__touched = touched;
}

const wrappedOf = (entity: AnyEntity): Wrapped => helper(entity) as unknown as Wrapped;

/** `__touched` is MikroORM 6's. */
type Wrapped = { readonly __data: Dictionary; readonly __originalEntityData?: Dictionary; __touched?: boolean };

/** The sides of relations that hold what the user has changed: foreign keys, and what follows from others' of 1:1. */
export function* changedSides(entity: AnyEntity, changes: ReadonlySet<string>): Iterable<Side> {
  const { __meta } = helper(entity);
  for (const { name, kind, owner } of changes.size === 0 ? [] : __meta.relations) {
    if ((kind === 'm:1' || (kind === '1:1' && owner)) && changes.has(name)) yield sideOf(entity, name);
  }
  for (const { property, other } of oneToOnes(__meta)) {
    const holder = property.owner ? undefined : entityIn(entity, property.name);
    if (holder === undefined || !changesOf(holder).has(other.name)) continue;
    yield sideOf(entity, property.name);
    yield sideOf(holder, other.name);
  }
}

/** The inverse sides of an entity, where the user has changed the foreign key that they follow from. */
export function inversesOfChanges(find: FindManaged, entity: AnyEntity, data: Dictionary): string[] {
  const { __meta } = helper(entity);
  return oneToOnes(__meta).flatMap(({ property, other }) => {
    if (property.owner) return [];
    const isChanged = [...partnersOf(find, entityIn(entity, property.name), data, property)].some((holder) =>
      changesOf(holder).has(other.name),
    );
    return isChanged ? [property.name] : [];
  });
}

/** The foreign keys that inverse sides of an entity follow from. */
export function* holdersOf(entity: AnyEntity): Iterable<Side> {
  for (const { property, other } of oneToOnes(helper(entity).__meta)) {
    const holder = property.owner ? undefined : entityIn(entity, property.name);
    if (holder !== undefined) yield sideOf(holder, other.name);
  }
}
