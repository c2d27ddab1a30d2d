import type { AnyEntity, EntityManager, EntityMetadata, FilterOptions, LockMode, Platform } from '@mikro-orm/core';
import { keyCondition } from './key-condition.ts';
import { type Merging, mergesNothing } from './merge-row.ts';
import { merged } from './merging.ts';
import { loadsRelations } from './metadata.ts';

interface FindOptions {
  readonly schema: string | undefined;
  readonly filters: FilterOptions | undefined;
  readonly lockMode: LockMode | undefined;
}

export interface FindByKeysOptions extends FindOptions {
  /** How rows meet the entities that are managed already; undefined where nothing is. */
  readonly merging: Merging | undefined;
  readonly populate: readonly string[] | undefined;
}

/**
 * Reads rows by keys in database form, one value per row or one flat tuple. They have been validated, because `find`
 * treats null and objects in this place as "everything" and as operators.
 */
export function findByKeys(
  em: EntityManager,
  metadata: EntityMetadata,
  keys: readonly unknown[],
  { merging, populate, ...options }: FindByKeysOptions,
): Promise<AnyEntity[]> {
  const find = (): Promise<AnyEntity[]> =>
    findEntities(em, metadata, keys, options, {
      ...(populate && { populate }),
      ...(merging && { refresh: true }),
    });
  if (merging === undefined && !loadsRelations(metadata, populate)) return find();
  return merged(em, merging ?? mergesNothing(), find);
}

/** The same beside the identity map: instances that the EntityManager does not come to manage, without relations. */
export const findByKeysBeside = (
  em: EntityManager,
  metadata: EntityMetadata,
  keys: readonly unknown[],
  options: FindOptions,
): Promise<AnyEntity[]> => findEntities(em, metadata, keys, options, { populate: false, disableIdentityMap: true });

/**
 * - converted keys: `convertCustomTypes: false` is the one form that works for every key shape in both majors
 * - no auto-flush: reading must not write the user's unit of work
 * - write connection, no result cache: a replica or a cache may be older than the job
 */
async function findEntities(
  em: EntityManager,
  metadata: EntityMetadata,
  keys: readonly unknown[],
  { schema, filters, lockMode }: FindOptions,
  more: object,
): Promise<AnyEntity[]> {
  const options = {
    convertCustomTypes: false,
    flushMode: 'commit',
    connectionType: 'write',
    cache: false,
    ...(schema !== undefined && { schema }),
    ...(filters !== undefined && { filters }),
    ...(lockMode !== undefined && { lockMode, orderBy: metadata.primaryKeys.map((name) => ({ [name]: 'asc' })) }),
    ...more,
  };
  const { where, done } = keyCondition(metadata, keys, em.getPlatform());
  try {
    return (await em.find<AnyEntity>(metadata.class, where as never, options as never)) as AnyEntity[];
  } finally {
    done();
  }
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

/**
 * Loads relations of entities that are already there, where they are not loaded. The schema is that of the entities:
 * MikroORM would read related rows in the EntityManager's, which may be another tenant's.
 */
export const populate = (
  em: EntityManager,
  entities: readonly AnyEntity[],
  hints: readonly string[],
  schema: string | undefined,
  merging: Merging = mergesNothing(),
): Promise<unknown> =>
  merged(
    em,
    merging,
    () =>
      em.populate(
        entities as AnyEntity[],
        hints as never,
        { connectionType: 'write', ...(schema !== undefined && { schema }) } as never,
      ),
    entities,
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
