import type {
  AnyEntity,
  Dictionary,
  EntityManager,
  EntityMetadata,
  FilterOptions,
  LockMode,
  Platform,
} from '@mikro-orm/core';
import { keyCondition } from './key-condition.ts';
import { type Merging, mergesNothing } from './merge-row.ts';
import { merged } from './merging.ts';
import { loadsRelations } from './metadata.ts';
import { PAST_ALL } from './query-options.ts';

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
  options: FindByKeysOptions,
): Promise<AnyEntity[]> {
  const { merging, populate } = options;
  const own = findOptions(metadata, options);
  if (populate !== undefined) own['populate'] = populate;
  if (merging !== undefined) own['refresh'] = true;
  if (merging === undefined && !loadsRelations(metadata, populate)) return findEntities(em, metadata, keys, own);
  return merged(em, merging ?? mergesNothing(), async () => {
    const found = await findEntities(em, metadata, keys, own);
    merging?.admission?.clean(found, populate ?? []);
    return found;
  });
}

/** The same beside the identity map: instances that the EntityManager does not come to manage, without relations. */
export function findByKeysBeside(
  em: EntityManager,
  metadata: EntityMetadata,
  keys: readonly unknown[],
  options: FindOptions,
): Promise<AnyEntity[]> {
  const own = { ...findOptions(metadata, options), populate: false, disableIdentityMap: true };
  return findEntities(em, metadata, keys, own);
}

/** Converted keys: `convertCustomTypes: false` is the one form that works for every key shape in both majors. */
function findOptions(metadata: EntityMetadata, { schema, filters, lockMode }: FindOptions): Dictionary {
  const options: Dictionary = {
    convertCustomTypes: false,
    ...PAST_ALL,
  };
  if (schema !== undefined) options['schema'] = schema;
  if (filters !== undefined) options['filters'] = filters;
  if (lockMode !== undefined) {
    options['lockMode'] = lockMode;
    options['orderBy'] = metadata.primaryKeys.map((name) => ({ [name]: 'asc' }));
  }
  return options;
}

function findEntities(
  em: EntityManager,
  metadata: EntityMetadata,
  keys: readonly unknown[],
  options: Dictionary,
): Promise<AnyEntity[]> {
  const { where, done } = keyCondition(metadata, keys, em.getPlatform());
  const found = em.find<AnyEntity>(metadata.class, where as never, options as never) as Promise<AnyEntity[]>;
  return done === undefined ? found : found.finally(done);
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
      ...PAST_ALL,
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
    async () => {
      await em.populate(
        entities as AnyEntity[],
        hints as never,
        { connectionType: 'write', ...(schema !== undefined && { schema }) } as never,
      );
      merging.admission?.clean(entities, hints);
    },
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
