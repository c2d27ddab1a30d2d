import { type AnyEntity, type EntityMetadata, type EntityProperty, helper, ScalarReference } from '@mikro-orm/core';
import { nullOf } from './entity.ts';
import { pathOf, valueAt } from './inline-embedded.ts';
import { memo } from './memo.ts';

const isLazyColumn = ({ lazy, kind, owner, object }: EntityProperty): boolean =>
  lazy === true &&
  (kind === 'scalar' || kind === 'm:1' || (kind === '1:1' && owner) || (kind === 'embedded' && object === true));

/** The columns that a query selects only where `populate` names them. */
export const lazyProperties = memo(({ props }: EntityMetadata): readonly EntityProperty[] =>
  props.filter(isLazyColumn),
);

/**
 * The names of the lazy properties that an entity has a value of: what MikroORM's comparison sees, and a flush writes
 * where it differs. Its own list of loaded properties lacks what was assigned, and has columns of sibling classes.
 */
export function loadedLazyProperties(entity: AnyEntity, metadata: EntityMetadata): readonly string[] {
  const properties = lazyProperties(metadata);
  if (properties.length === 0) return NONE;
  return properties.flatMap((property) => {
    const value = valueAt(entity, pathOf(metadata, property.name));
    const isLoaded = value === undefined ? isNull(entity, property.name) : !isUnread(value);
    return isLoaded ? [property.name] : [];
  });
}

const isUnread = (value: unknown): boolean => value instanceof ScalarReference && !value.isInitialized();

/** Where undefined stands for NULL, what MikroORM has stored of an entity tells it from what is not loaded. */
const isNull = (entity: AnyEntity, column: string): boolean =>
  nullOf(entity) === undefined && column in (helper(entity).__originalEntityData ?? {});

const NONE: readonly never[] = [];
