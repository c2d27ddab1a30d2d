import { type AnyEntity, type Dictionary, type EntityManager, type EntityMetadata, helper } from '@mikro-orm/core';
import { AsyncLocalStorage } from 'node:async_hooks';
import { constructsEntities, isEntity, metadataOf, nullOf, settleHydrated } from './entity.ts';
import { type Held, release, spareCollections } from './held-collections.ts';
import { withoutItemsOfOthers } from './joined-items.ts';
import { keptRow, mergeRow, type Merging, noteChangedSides } from './merge-row.ts';
import { type FindManaged, restoreHolder, restoreSide, type Side, withForeignKeysOfOthers } from './one-to-one.ts';
import { type Finder, pastAll } from './query-options.ts';

/** What is put in front of methods of an EntityManager, its factory and its unit of work while queries of ours run. */
interface Shadow {
  queries: number;
  /** Has what the user has changed of an entity's relations stay, while more of it is loaded. Takes its items out of a row. */
  spare(entity: AnyEntity, merging: Merging, row: Dictionary): void;
  /** Takes it away again. */
  end(): void;
}

const shadows = new WeakMap<EntityManager, Shadow>();

const current = new AsyncLocalStorage<Merging>();

/**
 * Runs a query whose rows, those of relations among them, are merged into the entities that are managed already. The
 * queries that load relations go past the result cache and to the write connection, and flush nothing: MikroORM hands
 * these options on to none of them. `kept` are entities whose relations are loaded. Queries of the user's meanwhile are as ever, and nothing stays on the EntityManager.
 */
export async function merged<T>(
  em: EntityManager,
  merging: Merging,
  query: () => Promise<T>,
  kept: readonly AnyEntity[] = [],
): Promise<T> {
  let shadow = shadows.get(em);
  if (shadow === undefined) shadows.set(em, (shadow = castShadow(em)));
  shadow.queries++;
  try {
    for (const entity of kept) shadow.spare(entity, merging, {});
    const result = await current.run(merging, query);
    // The first note of a side is what the user has made of it.
    for (const side of merging.changedSides.toReversed()) restoreSide(side);
    for (const key of merging.holders) restoreHolder(key);
    return result;
  } finally {
    if (--shadow.queries === 0) {
      shadows.delete(em);
      shadow.end();
    }
  }
}

interface Factory {
  create(entityName: unknown, data: Dictionary, options?: CreateOptions): AnyEntity;
  findEntity(data: Dictionary, metadata: EntityMetadata, options: CreateOptions): AnyEntity | undefined;
  hydrate(entity: AnyEntity, metadata: EntityMetadata, data: Dictionary, options: CreateOptions): void;
}

interface CreateOptions {
  readonly newEntity?: boolean;
  readonly merge?: boolean;
  readonly initialized?: boolean;
  readonly refresh?: boolean;
}

interface UnitOfWork {
  register(entity: AnyEntity, data?: Dictionary, options?: { readonly refresh?: boolean }): AnyEntity;
  persist(entity: AnyEntity, ...more: unknown[]): void;
  scheduleOrphanRemoval(entity: AnyEntity, ...more: unknown[]): void;
  cancelOrphanRemoval(entity: AnyEntity, ...more: unknown[]): void;
  getRemoveStack(): ReadonlySet<AnyEntity>;
}

const SHADOWED = ['register', 'persist', 'scheduleOrphanRemoval', 'cancelOrphanRemoval'] as const;

function castShadow(em: EntityManager): Shadow {
  const finder = em as unknown as Finder;
  const factory = em.getEntityFactory() as unknown as Factory;
  const unit = em.getUnitOfWork(false) as unknown as UnitOfWork;
  const { find } = finder;
  const { create } = factory;
  const { register, persist, scheduleOrphanRemoval, cancelOrphanRemoval } = unit;
  const held: Held = {
    collections: new Set(),
    followed: new Set(),
    isOurs: () => current.getStore() !== undefined,
    isAway: (entity) => current.getStore()?.admission?.isAway(entity) === true,
  };
  const keysAround: Side[][] = [];
  let creating = 0;

  const spare: Shadow['spare'] = (entity, merging, row) => {
    noteChangedSides(entity, merging, held);
    if (merging.spares) spareCollections(entity, metadataOf(entity), row, held);
  };

  finder.find = (entityName, where, options) =>
    find.call(em, entityName, where, current.getStore() === undefined ? options : pastAll(options));

  const createWithin: Factory['create'] = (entityName, data, options) => {
    creating++;
    try {
      return create.call(factory, entityName, data, options);
    } finally {
      creating--;
    }
  };

  /** What constructors take, MikroORM reads into new entities only. */
  const hydrateConstructed = (entity: AnyEntity, row: Dictionary, options: CreateOptions): void => {
    if (!constructsEntities(em)) return;
    const metadata = metadataOf(entity);
    const { constructorParams = [], properties } = metadata;
    const names = constructorParams.map(String).filter((name) => name in properties && name in row);
    const taken = Object.fromEntries(names.map((name) => [name, row[name] as unknown]));
    factory.hydrate(entity, metadata, taken, { ...options, initialized: true });
  };

  factory.create = (entityName, data, options = {}) => {
    const merging = current.getStore();
    const isRow = options.newEntity !== true && options.merge === true && options.initialized !== false;
    if (merging === undefined || !isRow || isEntity(data)) return createWithin(entityName, data, options);
    const { admission } = merging;
    const metadata = em.getMetadata().get(entityName as never) as EntityMetadata;
    const find: FindManaged = (target, key) => factory.findEntity(key, target, options);
    const existing = find(metadata, data);
    if (admission?.refuses(data, metadata, options) === true) {
      const key = Object.fromEntries(metadata.primaryKeys.map((name) => [name, data[name]]));
      return admission.turnedAway(existing ?? createWithin(entityName, key, { ...options, initialized: false }));
    }
    // It is the user's to be gone: its row tells nobody that it is there.
    if (existing !== undefined && unit.getRemoveStack().has(existing)) return existing;
    const admitted = admission === undefined ? data : admission.strip(data, metadata, options);
    const row = withoutItemsOfOthers(find, existing, admitted, metadata, merging, ({ class: target }, item) => {
      factory.create(target, item, { ...options, refresh: false });
    });
    return withForeignKeysOfOthers(find, existing, row, metadata, merging.refreshes, keysAround, () => {
      if (existing === undefined) return settleHydrated(createWithin(entityName, row, options));
      if (!merging.refreshes(existing)) {
        const own = { ...keptRow(find, existing, row) };
        spare(existing, merging, own);
        return keepingNulls(existing, () => createWithin(entityName, own, { ...options, refresh: false }));
      }
      const refresh = (own: Dictionary) => {
        createWithin(entityName, own, { ...options, refresh: true });
        hydrateConstructed(existing, own, options);
      };
      return mergeRow(find, existing, row, merging, held, refresh);
    });
  };

  // MikroORM registers the items of m:n once more, by the raw row: what `create` made of it is better.
  unit.register = (entity, data, options) => {
    const isAgain = creating === 0 && current.getStore() !== undefined;
    return register.call(unit, entity, data, isAgain ? { ...options, refresh: false } : options);
  };

  // Collections that are filled persist their items, which takes back that the user has removed one.
  unit.persist = (entity, ...more) => {
    if (current.getStore() === undefined || !unit.getRemoveStack().has(entity)) persist.call(unit, entity, ...more);
  };
  unit.scheduleOrphanRemoval = (...args) => {
    if (current.getStore() === undefined) scheduleOrphanRemoval.apply(unit, args);
  };
  unit.cancelOrphanRemoval = (...args) => {
    if (current.getStore() === undefined) cancelOrphanRemoval.apply(unit, args);
  };

  return {
    queries: 0,
    spare,
    end: () => {
      release(held);
      delete (finder as Partial<Finder>).find;
      delete (factory as Partial<Factory>).create;
      for (const name of SHADOWED) delete (unit as Partial<UnitOfWork>)[name];
    },
  };
}

/**
 * With `forceUndefined` MikroORM 6 makes NULL undefined in what it has stored of an entity that it merges a row into:
 * what the user has set to null, and flushed, would count as changed.
 */
function keepingNulls(entity: AnyEntity, merge: () => AnyEntity): AnyEntity {
  const stored: Dictionary = helper(entity).__originalEntityData ?? {};
  const nulls = nullOf(entity) === null ? [] : Object.keys(stored).filter((name) => stored[name] === null);
  const merged = merge();
  for (const name of nulls) stored[name] ??= null;
  return merged;
}
