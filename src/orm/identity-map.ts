import type { AnyEntity, EntityManager, EntityMetadata } from '@mikro-orm/core';

/** Where an EntityManager has the entities of an inheritance tree: under each of their keys, in the order in which they came. */
export type EntityStore = Map<string, AnyEntity>;

export const storeOf = (em: EntityManager, { root }: EntityMetadata): EntityStore =>
  em.getUnitOfWork(false).getIdentityMap().getStore(root) as EntityStore;

/** All entities that an EntityManager manages, references too. */
export const allManaged = (em: EntityManager): AnyEntity[] => [
  ...new Set(em.getUnitOfWork(false).getIdentityMap() as unknown as Iterable<AnyEntity>),
];

export function managesAnything(em: EntityManager): boolean {
  for (const _entity of em.getUnitOfWork(false).getIdentityMap()) return true;
  return false;
}

export const removesAnything = (em: EntityManager): boolean => em.getUnitOfWork(false).getRemoveStack().size > 0;

/** The entities on both sides of the collections that a flush is about to write, as far as they are known. */
export function* entitiesOfWrittenCollections(em: EntityManager): Iterable<AnyEntity> {
  for (const collection of em.getUnitOfWork(false).getCollectionUpdates()) {
    yield collection.owner as AnyEntity;
    const before = (collection as { getSnapshot?(): AnyEntity[] | undefined }).getSnapshot?.() ?? [];
    yield* new Set([...before, ...collection.getItems(false)]);
  }
}
