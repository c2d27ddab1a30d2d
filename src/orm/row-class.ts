import { type AnyEntity, type Dictionary, type EntityMetadata, helper, type MetadataStorage } from '@mikro-orm/core';
import { isTablePerType } from './metadata.ts';

/**
 * Makes an entity one of the class that its row is of now, and returns that. So does MikroORM where it refreshes, but for
 * a base class of that which the entity had.
 */
export function reclassed(entity: AnyEntity, row: Dictionary): EntityMetadata {
  const { __meta, __em } = helper(entity);
  const current = classOfRow(__em!.getMetadata(), __meta, row) ?? __meta;
  if (current !== __meta) Object.setPrototypeOf(entity, current.prototype as object);
  return current;
}

/** The class of its tree that a row says it is of; undefined where it does not say. */
function classOfRow(storage: MetadataStorage, { root }: EntityMetadata, row: Dictionary): EntityMetadata | undefined {
  const { discriminatorMap, discriminatorColumn, tptDiscriminatorColumn } = root as EntityMetadata & {
    readonly tptDiscriminatorColumn?: string;
  };
  const value = row[(isTablePerType(root) ? tptDiscriminatorColumn : discriminatorColumn) ?? ''] as string | undefined;
  const name = value == null ? undefined : discriminatorMap?.[value];
  return name === undefined ? undefined : storage.find(name as never);
}

/** Takes from an entity what the class that it was of has, and its new one does not. */
export function dropForeign(entity: AnyEntity, { props }: EntityMetadata, stays: (name: string) => boolean): void {
  const { __data } = helper(entity) as unknown as { readonly __data: Dictionary };
  for (const { name } of props) {
    if (stays(name)) continue;
    delete __data[name];
    delete (entity as Dictionary)[name];
  }
}
