import type { AnyEntity, EntityManager, EntityMetadata } from '@mikro-orm/core';
import { hasPendingChanges } from './entity.ts';

/** The entities of an inheritance tree that an EntityManager manages, in no order. */
export const managedEntities = (em: EntityManager, metadata: EntityMetadata): Iterable<AnyEntity> =>
  new Set(em.getUnitOfWork(false).getIdentityMap().getStore(metadata.root).values() as Iterable<AnyEntity>);

export function managesAnything(em: EntityManager): boolean {
  for (const _entity of em.getUnitOfWork(false).getIdentityMap()) return true;
  return false;
}

export function managesPendingChanges(em: EntityManager): boolean {
  for (const entity of em.getUnitOfWork(false).getIdentityMap()) if (hasPendingChanges(entity)) return true;
  return false;
}

/** The entities on both sides of the collections that a flush is about to write, as far as they are known. */
export function* entitiesOfWrittenCollections(em: EntityManager): Iterable<AnyEntity> {
  for (const collection of em.getUnitOfWork(false).getCollectionUpdates()) {
    yield collection.owner as AnyEntity;
    const before = (collection as { getSnapshot?(): AnyEntity[] | undefined }).getSnapshot?.() ?? [];
    yield* new Set([...before, ...collection.getItems(false)]);
  }
}
