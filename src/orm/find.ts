import type { AnyEntity, EntityManager, EntityMetadata, FilterOptions, LockMode, Platform } from '@mikro-orm/core';
import { AsyncLocalStorage } from 'node:async_hooks';
import { eagerRelations } from './metadata.ts';

export interface FindByKeysOptions {
  readonly refresh: boolean;
  readonly schema: string | undefined;
  readonly populate: readonly string[] | false | undefined;
  readonly filters: FilterOptions | undefined;
  readonly lockMode: LockMode | undefined;
  /** Reads fresh instances that the EntityManager does not come to manage. */
  readonly besideIdentityMap?: boolean;
}

/**
 * Reads rows by keys in database form, one value per row or one flat tuple. They have been validated, because `find`
 * treats null and objects in this place as "everything" and as operators.
 *
 * - converted keys: `convertCustomTypes: false` is the one form that works for every key shape in both majors
 * - no auto-flush: reading must not write the user's unit of work
 * - write connection, no result cache: a replica or a cache may be older than the job
 */
export function findByKeys(
  em: EntityManager,
  metadata: EntityMetadata,
  keys: readonly unknown[],
  options: FindByKeysOptions,
): Promise<AnyEntity[]> {
  const where = keys.map((key) => (Array.isArray(key) ? key.map(operand) : operand(key)));
  const ordered = options.lockMode !== undefined && {
    orderBy: metadata.primaryKeys.map((name) => ({ [name]: 'asc' })),
  };
  const findOptions = {
    convertCustomTypes: false,
    flushMode: 'commit',
    connectionType: 'write',
    cache: false,
    refresh: options.refresh,
    ...(options.schema !== undefined && { schema: options.schema }),
    ...(options.populate !== undefined && { populate: options.populate }),
    ...(options.filters !== undefined && { filters: options.filters }),
    ...(options.lockMode !== undefined && { lockMode: options.lockMode }),
    ...(options.besideIdentityMap === true && { disableIdentityMap: true }),
    ...ordered,
  };
  const find = () => em.find<AnyEntity>(metadata.class, where as never, findOptions as never) as Promise<AnyEntity[]>;
  const loadsRelations = options.populate === undefined ? eagerRelations(metadata).length > 0 : options.populate;
  return loadsRelations ? withoutFlush(em, find) : find();
}

const withoutFlushing = new AsyncLocalStorage<true>();

/** How many queries under way hold back the `tryFlush` of an EntityManager. */
const holding = new WeakMap<EntityManager, number>();

/**
 * Runs a query that loads relations and must not write the user's unit of work: MikroORM does not hand the option
 * `flushMode` on to the queries for the relations, and each of those would flush first. The method that holds them back
 * is gone with the last such query; queries of the user's beside them flush as ever.
 */
async function withoutFlush<T>(em: EntityManager, query: () => Promise<T>): Promise<T> {
  const others = holding.get(em) ?? 0;
  holding.set(em, others + 1);
  if (others === 0) holdBackFlush(em);
  try {
    return await withoutFlushing.run(true, query);
  } finally {
    const left = holding.get(em)! - 1;
    holding.set(em, left);
    if (left === 0) delete (em as Partial<EntityManager>).tryFlush;
  }
}

function holdBackFlush(em: EntityManager): void {
  const { tryFlush } = em;
  em.tryFlush = async (entityName, options) => {
    if (withoutFlushing.getStore() === undefined) await tryFlush.call(em, entityName as never, options);
  };
}

/** The rows that a condition matches, as entities that hold their key only and that nothing manages; hidden ones too. */
export const findKeys = (em: EntityManager, metadata: EntityMetadata, where: object): Promise<AnyEntity[]> =>
  em.find<AnyEntity>(
    metadata.class,
    where as never,
    {
      fields: metadata.primaryKeys,
      populate: false,
      filters: false,
      disableIdentityMap: true,
      flushMode: 'commit',
      connectionType: 'write',
      cache: false,
    } as never,
  );

/** MikroORM takes a tuple with a boolean in it for nested conditions; PostgreSQL reads the word as the value. */
const operand = (value: unknown): unknown => (typeof value === 'boolean' ? String(value) : value);

/**
 * Loads relations of entities that are already there, without touching what the user has changed. The schema is that of
 * the entities: MikroORM would read related rows in the EntityManager's, which may be another tenant's.
 */
export const populate = (
  em: EntityManager,
  entities: readonly AnyEntity[],
  hints: readonly string[],
  schema: string | undefined,
): Promise<unknown> =>
  withoutFlush(em, () =>
    em.populate(
      entities as AnyEntity[],
      hints as never,
      { connectionType: 'write', ...(schema !== undefined && { schema }) } as never,
    ),
  );

/** A reference without a query; `key` is in database form, flat where it has several columns. */
export function referenceTo(
  em: EntityManager,
  metadata: EntityMetadata,
  key: unknown,
  schema: string | undefined,
): AnyEntity {
  const options = schema === undefined ? {} : { schema };
  return em.getReference<AnyEntity>(
    metadata.class,
    nestKey(metadata, Array.isArray(key) ? [...key] : [key], em.getPlatform()) as never,
    options,
  ) as AnyEntity;
}

/**
 * Turns a flat database key into the JavaScript one that `getReference` wants, consuming it part by part: the value of
 * a single key, an object by property name for any other, because nested arrays lose parts.
 */
function nestKey(metadata: EntityMetadata, flat: unknown[], platform: Platform): unknown {
  const parts = metadata.getPrimaryProps().map((property): [string, unknown] => {
    if (property.targetMeta !== undefined) return [property.name, nestKey(property.targetMeta, flat, platform)];
    const value = flat.shift();
    const { customType } = property;
    return [property.name, customType === undefined ? value : customType.convertToJSValue(value, platform)];
  });
  return metadata.getPrimaryProps(true).length === 1 ? parts[0]![1] : Object.fromEntries(parts);
}
