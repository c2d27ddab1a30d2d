import {
  type AnyEntity,
  Collection,
  type Dictionary,
  type EntityMetadata,
  type EntityProperty,
  Utils,
} from '@mikro-orm/core';
import { changesOf, entityManagerOf, isUnidentified, metadataOf, stateOf } from './entity.ts';

/** Collections whose items the user has changed: till our queries are over, nothing else is put into them. */
export interface Held {
  readonly collections: Set<Collection<AnyEntity>>;
  /** What relations that the user has changed lead to. */
  readonly followed: Set<AnyEntity>;
  /** Whether what runs now is a query of ours. */
  isOurs(): boolean;
  /** Whether an entity stands for a row that must stay outside. */
  isAway(entity: AnyEntity): boolean;
}

interface Spared {
  readonly name: string;
  readonly kind: string;
  /** What the user has added to a collection that is not loaded. */
  readonly added: readonly AnyEntity[];
}

/** Takes the items of changed collections out of a row, and holds the collections. One that is not loaded may be. */
export function spareCollections(
  entity: AnyEntity,
  { relations }: EntityMetadata,
  row: Dictionary,
  held: Held,
): Spared[] {
  return relations.flatMap((property) => {
    const { name, kind } = property;
    const value = (entity as Dictionary)[name] as unknown;
    if (!Utils.isCollection(value)) return [];
    const collection = value as Collection<AnyEntity>;
    holdOtherSides(collection, property, held);
    if (!hasChanges(collection, property)) return [];
    const added = pendingOf(collection);
    if (collection.isInitialized()) delete row[name];
    hold(collection, added, held);
    for (const item of collection.getItems(false)) spareFollowed(item, held);
    return [{ name, kind, added }];
  });
}

/** What the user has added to a collection that is not loaded. */
const pendingOf = (collection: Collection<AnyEntity>): readonly AnyEntity[] =>
  collection.isInitialized() ? [] : collection.getItems(false);

/** Of the items of an m:n: that is loaded, and MikroORM has them forget what the user has changed on their side. */
function holdOtherSides(
  collection: Collection<AnyEntity>,
  { kind, inversedBy, mappedBy }: EntityProperty,
  held: Held,
): void {
  const name = kind === 'm:n' ? (inversedBy ?? mappedBy) : undefined;
  if (name === undefined) return;
  for (const item of collection.getItems(false)) {
    const side = (item as Dictionary)[name] as Collection<AnyEntity> | undefined;
    if (Utils.isCollection(side) && side.isDirty()) hold(side, pendingOf(side), held);
  }
}

/** Holds the changed collections of what only the user's changes lead to: MikroORM follows them, and no row is read of it. */
export function spareFollowed(entity: AnyEntity, held: Held): void {
  if (held.followed.has(entity)) return;
  held.followed.add(entity);
  spareCollections(entity, metadataOf(entity), {}, held);
}

/**
 * Whether the user has changed which items a collection has. MikroORM says so of 1:m too where a row that was read has
 * told it of its foreign key.
 */
function hasChanges(collection: Collection<AnyEntity>, { kind, mappedBy }: EntityProperty): boolean {
  if (!collection.isDirty()) return false;
  if (kind !== '1:m') return true;
  const items = new Set(collection.getItems(false));
  const before = new Set(collection.getSnapshot());
  const moved = [...items, ...before].filter((item) => !items.has(item) || !before.has(item));
  return moved.some((item) => isUnflushed(item, mappedBy));
}

function isUnflushed(item: AnyEntity, foreignKey: string): boolean {
  const isOrphan = entityManagerOf(item)?.getUnitOfWork(false).getOrphanRemoveStack().has(item);
  return isOrphan === true || stateOf(item) !== 'stored' || isUnidentified(item) || changesOf(item).has(foreignKey);
}

/** To one that has been loaded. */
export function addTo(collection: Collection<AnyEntity>, items: readonly AnyEntity[]): void {
  if (!collection.isInitialized()) return;
  for (const item of items) Collection.prototype.addWithoutPropagation.call(collection, item);
}

/**
 * Lets a collection be loaded, if it is not, and nothing else. What MikroORM loads on the other side would have it
 * forget that it is changed.
 */
export function hold(collection: Collection<AnyEntity>, added: readonly AnyEntity[], held: Held): void {
  const { collections } = held;
  if (collections.has(collection)) return;
  collections.add(collection);
  const { hydrate, takeSnapshot, add, addWithoutPropagation } = collection;
  let isLoading = false;
  const hydrateOnce = (...[items, ...more]: Parameters<typeof hydrate>): void => {
    if (collection.isInitialized()) return;
    isLoading = true;
    const admitted = items.filter((item) => !held.isAway(item));
    hydrate.call(collection, admitted, ...more);
    isLoading = false;
    addTo(collection, added);
  };
  const takeSnapshotOfLoaded = (...args: Parameters<typeof takeSnapshot>): void => {
    if (isLoading) takeSnapshot.apply(collection, args);
  };
  // What the user has taken out would be in again, as it still is in the table.
  const addOfUser = (...args: Parameters<typeof add>): number =>
    isLoading || !held.isOurs() ? add.apply(collection, args) : 0;
  const addOfUserWithoutPropagation = (item: AnyEntity): void => {
    if (isLoading || !held.isOurs()) addWithoutPropagation.call(collection, item);
  };
  Object.defineProperty(collection, 'add', { value: addOfUser, configurable: true });
  Object.defineProperty(collection, 'addWithoutPropagation', {
    value: addOfUserWithoutPropagation,
    configurable: true,
  });
  Object.defineProperty(collection, 'hydrate', { value: hydrateOnce, configurable: true });
  Object.defineProperty(collection, 'takeSnapshot', { value: takeSnapshotOfLoaded, configurable: true });
}

export function release({ collections, followed }: Held): void {
  followed.clear();
  for (const collection of collections) {
    delete (collection as Partial<Collection<AnyEntity>>).add;
    delete (collection as Partial<Collection<AnyEntity>>).addWithoutPropagation;
    delete (collection as Partial<Collection<AnyEntity>>).hydrate;
    delete (collection as Partial<Collection<AnyEntity>>).takeSnapshot;
  }
}
