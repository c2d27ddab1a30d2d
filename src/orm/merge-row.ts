import {
  type AnyEntity,
  Collection,
  type Dictionary,
  type EntityMetadata,
  type EntityProperty,
  helper,
  Reference,
} from '@mikro-orm/core';
import type { Admission } from './admission.ts';
import { changesOf, isWhole, metadataOf, nullOf, settleHydrated } from './entity.ts';
import { addTo, type Held, hold, spareCollections, spareFollowed } from './held-collections.ts';
import { inlineRoot, pathOf, restoreInline, takeInline } from './inline-embedded.ts';
import { loadedLazyProperties } from './lazy.ts';
import { changedSides, entityIn, type FindManaged, holdersOf, inversesOfChanges, type Side } from './one-to-one.ts';
import { dropOutdated } from './outdated-embedded.ts';
import { dropForeign, reclassed } from './row-class.ts';

/**
 * How the rows of a query meet the entities that are managed already. MikroORM's `refresh` replaces what the user has
 * changed, and takes for the user's what it has not selected; without it, what is NULL now stays as it was.
 */
export interface Merging {
  /** Whether an entity is to be as its row is now; any other is merged as `em.find` does it. The first answer stands. */
  readonly refreshes: (entity: AnyEntity) => boolean;
  /** Whether what the user has not flushed stays. */
  readonly spares: boolean;
  /** The entities of which something was spared, with their rows as they are. */
  readonly spared: Map<AnyEntity, Dictionary>;
  /** The entities with loaded lazy properties that their row did not bring: these are as old as before. */
  readonly unread: Map<AnyEntity, readonly string[]>;
  /** What the user has changed of relations: MikroORM takes it away where it finds no row that they point to. */
  readonly changedSides: Side[];
  /** The foreign keys that inverse sides of 1:1 follow from: it takes these away too, where it does not find their row. */
  readonly holders: Side[];
  /** Which rows may come in; undefined for all. */
  readonly admission: Admission | undefined;
}

export const newMerging = (
  spares: boolean,
  refreshes: (entity: AnyEntity) => boolean,
  admission?: Admission,
): Merging => ({
  refreshes,
  spares,
  spared: new Map(),
  unread: new Map(),
  changedSides: [],
  holders: [],
  admission,
});

/** For queries whose rows MikroORM merges by itself. */
export const mergesNothing = (): Merging => newMerging(true, () => false);

/**
 * Makes a managed entity what its row is now, its class too, but for what the user has changed: that stays, with the
 * version and the `concurrencyCheck` properties that it is based on. `refresh` is MikroORM's own, for what is given to it.
 */
export function mergeRow(
  find: FindManaged,
  entity: AnyEntity,
  data: Dictionary,
  merging: Merging,
  held: Held,
  refresh: (row: Dictionary) => void,
): AnyEntity {
  const { spares, spared, unread } = merging;
  const wrapped = helper(entity) as Wrapped;
  const { __meta: metadata, __originalEntityData: before = {}, __touched } = wrapped;
  const changes = spares ? changesOf(entity) : NONE;
  // With `forceUndefined` MikroORM makes NULL undefined in the row itself.
  const isSpoilt = nullOf(entity) === undefined;
  const row = changes.size > 0 || metadata.relations.length > 0 || isSpoilt ? { ...data } : data;
  const taken = takeInline(entity, metadata, changes);
  // The key stays in the row: by it MikroORM finds the entity, and without it makes another one.
  const keys = metadata.primaryKeys.filter((name) => changes.has(name));
  const ownKeys = keys.map((name) => (entity as Dictionary)[name] as unknown);
  for (const name of changes) if (inlineRoot(metadata, name) === undefined && !keys.includes(name)) delete row[name];
  if (changes.size > 0) for (const name of baseOf(metadata)) delete row[name];
  if (spares) for (const name of inversesOfChanges(find, entity, data)) delete row[name];
  const collections = spares ? spareCollections(entity, metadata, row, held) : [];
  if (changes.size > 0 || collections.some(({ kind }) => kind === 'm:n')) spared.set(entity, data);
  nullForeignKeys(entity, metadata, row, changes);
  dropOutdated(entity, metadata, row);
  refresh(row);
  for (const [index, name] of keys.entries()) (entity as Dictionary)[name] = ownKeys[index];
  const current = reclassed(entity, data);
  const stays = (name: string): boolean => name in current.properties;
  nullLists(entity, current, changes, data);
  restoreInline(entity, metadata, taken, data, before);
  if (current !== metadata) dropForeign(entity, metadata, stays);
  settleHydrated(entity);
  for (const { name, added } of collections.filter(({ name }) => stays(name))) {
    const collection = (entity as Dictionary)[name] as Collection<AnyEntity>;
    addTo(collection, added);
    hold(collection, added, held);
  }
  if (__touched !== undefined) wrapped.__touched = changes.size > 0 && __touched;
  const after = wrapped.__originalEntityData!;
  // What the row does not say is not thereby the user's.
  for (const name of Object.keys(before).filter(stays)) {
    if (!(name in after) && holds(entity, current, name)) after[name] = before[name];
  }
  for (const name of [...changes, ...taken.columns].filter(stays)) {
    if (name in before) after[name] = before[name];
    else delete after[name];
  }
  noteChangedSides(entity, merging, held, changes);
  const old = loadedLazyProperties(entity, current).filter((name) => !(name in data) && !changes.has(name));
  if (old.length > 0) unread.set(entity, old);
  else unread.delete(entity);
  return entity;
}

/** Takes note of what relations hold that the user has changed, before more is loaded. */
export function noteChangedSides(
  entity: AnyEntity,
  { changedSides: noted, holders, spares }: Merging,
  held: Held,
  changes: ReadonlySet<string> = changesOf(entity),
): void {
  for (const side of spares ? changedSides(entity, changes) : []) {
    noted.push(side);
    const target = entityIn(side.entity, side.name);
    if (target !== undefined) spareFollowed(target, held);
  }
  holders.push(...holdersOf(entity));
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

/**
 * What of a row MikroORM merges by itself into an entity that is kept. One that is all there takes what `populate` loads
 * of its relations, and no columns: some would be newer than others, and a conflict would be lost.
 */
export function keptRow(find: FindManaged, entity: AnyEntity, data: Dictionary): Dictionary {
  if (!isWhole(entity)) return data;
  const { primaryKeys, relations, root } = metadataOf(entity);
  const names = new Set<string>(primaryKeys);
  if (root.discriminatorColumn !== undefined) names.add(root.discriminatorColumn);
  for (const relation of relations) {
    const { name, kind } = relation;
    if (kind === '1:m' || kind === 'm:n' || holdsRow(find, entity, relation, data[name])) names.add(name);
  }
  return Object.fromEntries(Object.entries(data).filter(([name]) => names.has(name)));
}

/** Whether a relation holds the row that was loaded along, if one was. */
function holdsRow(find: FindManaged, entity: AnyEntity, { name, targetMeta }: EntityProperty, row: unknown): boolean {
  const held = (entity as Dictionary)[name] as object | null | undefined;
  if (held == null || row === null || typeof row !== 'object' || Array.isArray(row)) return false;
  return find(targetMeta!, row) === (Reference.isReference(held) ? held.unwrap() : held);
}

/** Of a foreign key of several columns that is NULL in some of them, a row says nothing: it points nowhere. */
function nullForeignKeys(
  entity: AnyEntity,
  { relations }: EntityMetadata,
  row: Dictionary,
  changes: ReadonlySet<string>,
): void {
  for (const { name, kind, owner, fieldNames, lazy } of relations) {
    const isSplit = (kind === 'm:1' || (kind === '1:1' && owner === true)) && fieldNames.length > 1;
    if (!isSplit || lazy === true || row[name] !== undefined || changes.has(name)) continue;
    if ((entity as Dictionary)[name] != null) row[name] = null;
  }
}

/** MikroORM 6 leaves a list of embedded objects as it was where the row has NULL. */
function nullLists(entity: AnyEntity, { props }: EntityMetadata, changes: ReadonlySet<string>, row: Dictionary): void {
  for (const { name, kind, array } of props) {
    if (kind === 'embedded' && array === true && row[name] === null && !changes.has(name))
      (entity as Dictionary)[name] = nullOf(entity);
  }
}
