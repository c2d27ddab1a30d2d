import type { AnyEntity, Dictionary, EntityManager, EntityMetadata } from '@mikro-orm/core';
import { AsyncLocalStorage } from 'node:async_hooks';
import { isEntity, settleHydrated } from './entity.ts';
import { type Held, release } from './held-collections.ts';
import { keptRow, mergeRow, type Merging } from './merge-row.ts';
import { type FindManaged, withForeignKeysOfOthers } from './one-to-one.ts';

/** What is put in front of methods of an EntityManager, its factory and its unit of work while queries of ours run. */
interface Shadow {
  queries: number;
  /** Takes it away again. */
  end(): void;
}

const shadows = new WeakMap<EntityManager, Shadow>();

const current = new AsyncLocalStorage<Merging>();

/**
 * Runs a query whose rows, those of relations among them, are merged into the entities that are managed already. The
 * queries that load relations go past the result cache and to the write connection, and flush nothing: MikroORM hands
 * these options on to none of them. Queries of the user's meanwhile are as ever, and nothing stays on the EntityManager.
 */
export async function merged<T>(em: EntityManager, merging: Merging, query: () => Promise<T>): Promise<T> {
  let shadow = shadows.get(em);
  if (shadow === undefined) shadows.set(em, (shadow = castShadow(em)));
  shadow.queries++;
  try {
    const result = await current.run(merging, query);
    merging.admission?.cleanCollections();
    return result;
  } finally {
    if (--shadow.queries === 0) {
      shadows.delete(em);
      shadow.end();
    }
  }
}

const PAST_ALL = { flushMode: 'commit', connectionType: 'write', cache: false } as const;

interface Finder {
  find(entityName: unknown, where: unknown, options?: object): Promise<unknown>;
}

interface Factory {
  create(entityName: unknown, data: Dictionary, options?: CreateOptions): AnyEntity;
  findEntity(data: Dictionary, metadata: EntityMetadata, options: CreateOptions): AnyEntity | undefined;
}

interface CreateOptions {
  readonly newEntity?: boolean;
  readonly merge?: boolean;
  readonly initialized?: boolean;
  readonly refresh?: boolean;
}

interface Registrar {
  register(entity: AnyEntity, data?: Dictionary, options?: { readonly refresh?: boolean }): AnyEntity;
}

function castShadow(em: EntityManager): Shadow {
  const finder = em as unknown as Finder;
  const factory = em.getEntityFactory() as unknown as Factory;
  const registrar = em.getUnitOfWork(false) as unknown as Registrar;
  const { find } = finder;
  const { create } = factory;
  const { register } = registrar;
  const held: Held = new Set();
  let creating = 0;

  finder.find = (entityName, where, options) =>
    find.call(em, entityName, where, current.getStore() === undefined ? options : { ...options, ...PAST_ALL });

  const createWithin: Factory['create'] = (entityName, data, options) => {
    creating++;
    try {
      return create.call(factory, entityName, data, options);
    } finally {
      creating--;
    }
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
    const row = admission === undefined ? data : admission.strip(data, metadata, options);
    const entity = withForeignKeysOfOthers(em, find, existing, row, metadata, () => {
      if (existing === undefined) return settleHydrated(createWithin(entityName, row, options));
      if (!merging.refreshes(existing)) {
        return createWithin(entityName, keptRow(find, existing, row), { ...options, refresh: false });
      }
      const refresh = (own: Dictionary) => createWithin(entityName, own, { ...options, refresh: true });
      return mergeRow(find, existing, row, merging, held, refresh);
    });
    admission?.admitted(entity);
    return entity;
  };

  // MikroORM registers the items of m:n once more, by the raw row: what `create` made of it is better.
  registrar.register = (entity, data, options) => {
    const isAgain = creating === 0 && current.getStore() !== undefined;
    return register.call(registrar, entity, data, isAgain ? { ...options, refresh: false } : options);
  };

  return {
    queries: 0,
    end: () => {
      release(held);
      delete (finder as Partial<Finder>).find;
      delete (factory as Partial<Factory>).create;
      delete (registrar as Partial<Registrar>).register;
    },
  };
}
