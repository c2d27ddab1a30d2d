import {
  type AnyEntity,
  type Dictionary,
  type EntityManager,
  type EntityMetadata,
  helper,
  Reference,
} from '@mikro-orm/core';
import type { EntityProperty } from '@mikro-orm/core';
import { changesOf } from './entity.ts';

/**
 * 1:1 relations that both sides know. Who sets one side, MikroORM sets the other, hydration too: a row that is read
 * would change foreign keys of entities that are other rows', and the next flush would write them.
 */

interface OneToOne {
  readonly property: EntityProperty;
  readonly other: EntityProperty;
}

/** A memo: what it holds follows from its key alone. */
const found = new WeakMap<EntityMetadata, readonly OneToOne[]>();

function oneToOnes(metadata: EntityMetadata): readonly OneToOne[] {
  let properties = found.get(metadata);
  if (properties === undefined) {
    properties = metadata.relations.flatMap((property) => {
      const other = property.targetMeta?.properties[
        (property.inversedBy ?? property.mappedBy) as never
      ] as EntityProperty;
      return property.kind === '1:1' && other !== undefined ? [{ property, other }] : [];
    });
    found.set(metadata, properties);
  }
  return properties;
}

/** The managed entity of a row's key. */
export type FindManaged = (metadata: EntityMetadata, key: Dictionary) => AnyEntity | undefined;

/** A foreign key of an entity as it was, and as it was stored. */
interface ForeignKey {
  readonly holder: AnyEntity;
  readonly name: string;
  readonly value: unknown;
  readonly stored: unknown;
}

/**
 * Hydrates a row so that no foreign key changes but its own. One that was not known may be learned from it, and is
 * then no change.
 */
export function withForeignKeysOfOthers(
  em: EntityManager,
  find: FindManaged,
  entity: AnyEntity | undefined,
  data: Dictionary,
  metadata: EntityMetadata,
  hydrate: () => AnyEntity,
): AnyEntity {
  const relations = oneToOnes(metadata);
  if (relations.length === 0) return hydrate();
  const orphans = new Set(em.getUnitOfWork(false).getOrphanRemoveStack());
  const keys: ForeignKey[] = [];
  for (const { property, other } of relations) {
    for (const partner of partnersOf(find, entity, data, property)) {
      const holder = property.owner ? entityIn(partner, other.name) : partner;
      const { name } = property.owner ? property : other;
      if (holder !== undefined && holder !== entity) keys.push(foreignKey(holder, name));
    }
  }
  const hydrated = hydrate();
  for (const key of keys) restore(key);
  for (const orphan of em.getUnitOfWork(false).getOrphanRemoveStack()) {
    if (!orphans.has(orphan)) em.getUnitOfWork(false).cancelOrphanRemoval(orphan);
  }
  return hydrated;
}

/** The entities that are, and are to be, at the other end. */
function partnersOf(
  find: FindManaged,
  entity: AnyEntity | undefined,
  data: Dictionary,
  { name, targetMeta }: EntityProperty,
): Set<AnyEntity> {
  const partners = new Set<AnyEntity>();
  const value = data[name] as unknown;
  if (value === undefined) return partners;
  const before = entity === undefined ? undefined : entityIn(entity, name);
  if (before !== undefined) partners.add(before);
  const next = value === null ? undefined : find(targetMeta!, keyIn(value, targetMeta!));
  if (next !== undefined) partners.add(next);
  return partners;
}

/** The key of a related row, which has come alone or with the row. */
function keyIn(value: unknown, { primaryKeys }: EntityMetadata): Dictionary {
  if (typeof value === 'object' && !Array.isArray(value)) return value as Dictionary;
  const parts = [value].flat();
  return Object.fromEntries(primaryKeys.map((name, index) => [name, parts[index]]));
}

function entityIn(entity: AnyEntity, name: string): AnyEntity | undefined {
  const value = (entity as Dictionary)[name] as object | null | undefined;
  if (value == null) return undefined;
  return (Reference.isReference(value) ? value.unwrap() : value) as AnyEntity;
}

const foreignKey = (holder: AnyEntity, name: string): ForeignKey => ({
  holder,
  name,
  value: (holder as Dictionary)[name],
  stored: (helper(holder) as unknown as Wrapped).__originalEntityData?.[name],
});

function restore({ holder, name, value, stored }: ForeignKey): void {
  if ((holder as Dictionary)[name] === value) return;
  const { __data, __originalEntityData } = helper(holder) as unknown as Wrapped;
  if (value !== undefined) {
    __data[name] = value;
    if (__originalEntityData !== undefined) __originalEntityData[name] = stored;
  } else if (__originalEntityData !== undefined) {
    const learned = entityIn(holder, name);
    __originalEntityData[name] = learned === undefined ? null : helper(learned).getPrimaryKey(true);
  }
}

type Wrapped = { readonly __data: Dictionary; readonly __originalEntityData?: Dictionary };

/** The inverse sides of an entity, where the user has changed the foreign key that they follow from. */
export function inversesOfChanges(find: FindManaged, entity: AnyEntity, data: Dictionary): string[] {
  const { __meta } = helper(entity);
  return oneToOnes(__meta).flatMap(({ property, other }) => {
    if (property.owner) return [];
    const isChanged = [...partnersOf(find, entity, data, property)].some((holder) => changesOf(holder).has(other.name));
    return isChanged ? [property.name] : [];
  });
}
