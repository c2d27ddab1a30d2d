import { type AnyEntity, Collection, type EntityProperty, Reference, ScalarReference, Utils } from '@mikro-orm/core';

/** What stands for something else in an entity graph, or undefined for any other object. */
export type Wrapper =
  | { readonly kind: 'reference'; readonly entity: AnyEntity }
  | { readonly kind: 'scalar' | 'collection'; readonly loaded: boolean; unwrap(): unknown };

export function wrapperOf(value: object): Wrapper | undefined {
  if (Reference.isReference(value)) return { kind: 'reference', entity: value.unwrap() as AnyEntity };
  if (value instanceof ScalarReference) {
    return { kind: 'scalar', loaded: value.isInitialized(), unwrap: () => value.unwrap() };
  }
  if (Utils.isCollection(value)) {
    const collection = value as Collection<AnyEntity>;
    return { kind: 'collection', loaded: collection.isInitialized(), unwrap: () => collection.getItems(false) };
  }
  return undefined;
}

/**
 * A read-only collection with the given items, or one that is not loaded. Nothing of it reaches the items' own side:
 * adding would enter the owner there, and removing would schedule items for removal where orphans are removed.
 */
export function collectionOf(
  owner: object,
  property: EntityProperty,
  items: readonly AnyEntity[] | undefined,
): Collection<AnyEntity> {
  const collection = new Collection<AnyEntity>(owner, undefined, items !== undefined);
  collection.property = property;
  if (items === undefined) return collection;
  collection.hydrate([], false, false, true);
  // MikroORM 6 has no such parameter, and a member instead.
  if ('readonly' in collection) (collection as { readonly: unknown }).readonly = true;
  for (const item of items) collection.addWithoutPropagation(item);
  return collection;
}

/** What a property of the instance holds for a value: the value, or a `Ref` to it where the class declares one. */
export function referenceIn(property: EntityProperty, value: unknown): unknown {
  if (property.ref !== true) return value;
  return property.targetMeta === undefined ? new ScalarReference(value) : Reference.create(value as AnyEntity);
}
