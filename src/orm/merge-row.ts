import { type AnyEntity, Collection, type Dictionary, type EntityMetadata, helper, Utils } from '@mikro-orm/core';
import { changesOf, metadataOf } from './entity.ts';
import { inlineRoot, pathOf, restoreInline, takeInline } from './inline-embedded.ts';
import { loadedLazyProperties } from './lazy.ts';
import { type FindManaged, inversesOfChanges } from './one-to-one.ts';

/**
 * How the rows of a query meet the entities that are managed already. MikroORM's `refresh` replaces what the user has
 * changed, and takes for the user's what it has not selected; without it, what is NULL now stays as it was.
 */
export interface Merging {
  /** Whether an entity is to be as its row is now; any other is merged as `em.find` does it. */
  refreshes(entity: AnyEntity): boolean;
  /** Whether what the user has not flushed stays. */
  readonly spares: boolean;
  /** The entities of which something was spared, with their rows as they are. */
  readonly spared: Map<AnyEntity, Dictionary>;
  /** The entities with loaded lazy properties that their row did not bring: these are as old as before. */
  readonly unread: Map<AnyEntity, readonly string[]>;
}

export const newMerging = (spares: boolean, refreshes: (entity: AnyEntity) => boolean): Merging => ({
  refreshes,
  spares,
  spared: new Map(),
  unread: new Map(),
});

/** For queries whose rows MikroORM merges by itself. */
export const mergesNothing = (): Merging => newMerging(true, () => false);

/**
 * Makes a managed entity what its row is now, but for what the user has changed: that stays, with the version and the
 * `concurrencyCheck` properties that it is based on. `refresh` is MikroORM's own, for what is given to it.
 */
export function mergeRow(
  find: FindManaged,
  entity: AnyEntity,
  data: Dictionary,
  { spares, spared, unread }: Merging,
  held: Held,
  refresh: (row: Dictionary) => AnyEntity,
): AnyEntity {
  const wrapped = helper(entity) as Wrapped;
  const { __meta: metadata, __originalEntityData: before = {}, __touched } = wrapped;
  const changes = spares ? changesOf(entity) : NONE;
  const row = changes.size > 0 || metadata.relations.length > 0 ? { ...data } : data;
  const taken = takeInline(entity, metadata, changes);
  for (const name of changes) if (inlineRoot(metadata, name) === undefined) delete row[name];
  if (changes.size > 0) for (const name of baseOf(metadata)) delete row[name];
  if (spares) for (const name of inversesOfChanges(find, entity, data)) delete row[name];
  const sparesItems = spares && spareCollections(entity, metadata, row, held);
  if (changes.size > 0 || sparesItems) spared.set(entity, data);
  refresh(row);
  restoreInline(entity, metadata, taken, data);
  if (__touched !== undefined) wrapped.__touched = changes.size > 0 && __touched;
  const after = wrapped.__originalEntityData!;
  // What the row does not say is not thereby the user's.
  for (const name of Object.keys(before)) {
    if (!(name in after) && holds(entity, metadata, name)) after[name] = before[name];
  }
  for (const name of [...changes, ...taken.columns]) {
    if (name in before) after[name] = before[name];
    else delete after[name];
  }
  const old = loadedLazyProperties(entity, metadata).filter((name) => !(name in data) && !changes.has(name));
  if (old.length > 0) unread.set(entity, old);
  else unread.delete(entity);
  return entity;
}

/** False for a column that has gone with the embedded object it was in. Of one that is null, all columns are. */
const holds = (entity: AnyEntity, metadata: EntityMetadata, name: string): boolean =>
  inlineRoot(metadata, name) === undefined ||
  pathOf(metadata, name).reduce(
    (value: unknown, step) => (value === null ? null : (value as Dictionary | undefined)?.[step]),
    entity,
  ) !== undefined;

/** `__touched` is MikroORM 6's: whether the user has set a property since. */
type Wrapped = { __meta: EntityMetadata; __originalEntityData?: Dictionary; __touched?: boolean };

const NONE: ReadonlySet<string> = new Set();

/** The properties that say which state of the row a change is based on. */
function* baseOf({ versionProperty, concurrencyCheckKeys }: EntityMetadata): Iterable<string> {
  if (versionProperty !== undefined) yield versionProperty;
  yield* concurrencyCheckKeys;
}

/** A row for MikroORM to merge by itself: what a change is based on stays, or a conflict would be lost. */
export function withoutBase(entity: AnyEntity, data: Dictionary): Dictionary {
  const names = [...baseOf(metadataOf(entity))];
  if (names.length === 0 || changesOf(entity).size === 0) return data;
  return Object.fromEntries(Object.entries(data).filter(([name]) => !names.includes(name)));
}

/** Collections whose items the user has changed: till our queries are over, nothing else is put into them. */
export type Held = Set<Collection<AnyEntity>>;

/**
 * Takes the items of changed collections out of a row, and holds the collections. One that is not loaded is, with what
 * the user has added. Returns whether one of m:n is among them.
 */
function spareCollections(entity: AnyEntity, { relations }: EntityMetadata, row: Dictionary, held: Held): boolean {
  let isAmong = false;
  for (const { name, kind } of relations) {
    const value = (entity as Dictionary)[name] as unknown;
    if (!Utils.isCollection(value) || !(value as Collection<AnyEntity>).isDirty()) continue;
    const collection = value as Collection<AnyEntity>;
    if (collection.isInitialized()) delete row[name];
    hold(collection);
    held.add(collection);
    isAmong ||= kind === 'm:n';
  }
  return isAmong;
}

function hold(collection: Collection<AnyEntity>): void {
  const { hydrate } = collection;
  const hydrateOnce = (...args: Parameters<typeof hydrate>): void => {
    if (collection.isInitialized()) return;
    const added = collection.getItems(false);
    hydrate.apply(collection, args);
    for (const item of added) collection.addWithoutPropagation(item);
  };
  Object.defineProperty(collection, 'hydrate', { value: hydrateOnce, configurable: true });
}

export function release(held: Held): void {
  for (const collection of held) delete (collection as Partial<Collection<AnyEntity>>).hydrate;
}
