import { type AnyEntity, type Dictionary, type EntityMetadata, type EntityProperty, Utils } from '@mikro-orm/core';
import { changesOf, isWhole } from './entity.ts';
import type { Merging } from './merge-row.ts';
import { entityIn, type FindManaged, keyIn } from './one-to-one.ts';

/**
 * A row without the items of 1:m in it whose own foreign key says otherwise and stays, because the user has changed it or
 * because the whole entity is kept. MikroORM would put them into the collection, and thereby set that key. `create` is
 * told of their rows, so that all else of them is read.
 */
export function withoutItemsOfOthers(
  find: FindManaged,
  owner: AnyEntity | undefined,
  data: Dictionary,
  { relations }: EntityMetadata,
  merging: Merging,
  create: (metadata: EntityMetadata, row: Dictionary) => void,
): Dictionary {
  let row = data;
  for (const property of relations) {
    const items = data[property.name] as unknown;
    if (property.kind !== '1:m' || !Array.isArray(items)) continue;
    const { name, targetMeta } = property;
    const others = items.filter((item) => isOfOthers(find, owner, item, property, merging)) as Dictionary[];
    if (others.length === 0) continue;
    for (const item of others) create(targetMeta!, item);
    row = { ...row, [name]: items.filter((item) => !others.includes(item as Dictionary)) };
  }
  return row;
}

function isOfOthers(
  find: FindManaged,
  owner: AnyEntity | undefined,
  row: unknown,
  { targetMeta, mappedBy }: EntityProperty,
  { refreshes, spares }: Merging,
): boolean {
  const item = Utils.isPlainObject(row) ? find(targetMeta!, row as Dictionary) : undefined;
  const key = (item as Dictionary | undefined)?.[mappedBy] as unknown;
  if (item === undefined || key === undefined) return false;
  const { mapToPk, targetMeta: ownerMetadata } = targetMeta!.properties[mappedBy as never] as EntityProperty;
  const held =
    mapToPk === true && key !== null ? find(ownerMetadata!, keyIn(key, ownerMetadata!)) : entityIn(item, mappedBy);
  if (held !== undefined && held === owner) return false;
  return refreshes(item) ? spares && changesOf(item).has(mappedBy) : isWhole(item);
}
