import type { AnyEntity, EntityManager, EntityMetadata } from '@mikro-orm/core';

/** Where an EntityManager has the entities of an inheritance tree: under each of their keys, in the order in which they came. */
export type EntityStore = ReadonlyMap<string, AnyEntity>;

export const storeOf = (em: EntityManager, { root }: EntityMetadata): EntityStore =>
  em.getUnitOfWork(false).getIdentityMap().getStore(root) as EntityStore;

/** The entities of an inheritance tree that an EntityManager manages, in no order. */
export const managedEntities = (em: EntityManager, metadata: EntityMetadata): Iterable<AnyEntity> =>
  new Set(storeOf(em, metadata).values());

/** All entities that an EntityManager manages, references too. */
export const allManaged = (em: EntityManager): AnyEntity[] => [
  ...new Set(em.getUnitOfWork(false).getIdentityMap() as unknown as Iterable<AnyEntity>),
];

export function managesAnything(em: EntityManager): boolean {
  for (const _entity of em.getUnitOfWork(false).getIdentityMap()) return true;
  return false;
}

export const removesAnything = (em: EntityManager): boolean => em.getUnitOfWork(false).getRemoveStack().size > 0;

/** The managed entity of a key in database form, where MikroORM finds it by that. Its key is for the caller to compare. */
export const managedByKey = (
  em: EntityManager,
  metadata: EntityMetadata,
  key: unknown,
  schema: string | undefined,
): AnyEntity | undefined =>
  em.getUnitOfWork(false).getById(metadata.class as never, key as never, schema, true) as AnyEntity | undefined;

/** The entities on both sides of the collections that a flush is about to write, as far as they are known. */
export function* entitiesOfWrittenCollections(em: EntityManager): Iterable<AnyEntity> {
  for (const collection of em.getUnitOfWork(false).getCollectionUpdates()) {
    yield collection.owner as AnyEntity;
    const before = (collection as { getSnapshot?(): AnyEntity[] | undefined }).getSnapshot?.() ?? [];
    yield* new Set([...before, ...collection.getItems(false)]);
  }
}
