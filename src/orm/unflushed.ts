import { type EntityManager, helper } from '@mikro-orm/core';
import { changesOf, hasPendingChanges } from './entity.ts';
import { allManaged } from './identity-map.ts';

/** What a flush would write, as people name it: `User.email`, `new Order`, `removed Order`. */
export function unflushedIn(em: EntityManager): string[] {
  const unit = em.getUnitOfWork(false);
  const names = allManaged(em)
    .filter(hasPendingChanges)
    .flatMap((entity) => {
      const { className } = helper(entity).__meta;
      const changed = [...changesOf(entity)].map((property) => `${className}.${property}`);
      return changed.length > 0 ? changed : [`collections of ${className}`];
    });
  const isNew = (entity: object): boolean => helper(entity).__originalEntityData === undefined;
  for (const entity of unit.getPersistStack()) if (isNew(entity)) names.push(`new ${helper(entity).__meta.className}`);
  for (const entity of unit.getRemoveStack()) names.push(`removed ${helper(entity).__meta.className}`);
  return names;
}
