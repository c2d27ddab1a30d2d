import { type AnyEntity, helper, Utils } from '@mikro-orm/core';

/**
 * The key of the row that an entity was read from or written to, flat and in database form, whatever has become of its
 * properties since. Undefined where MikroORM does not know it: for a new entity, and for some references.
 */
export function storedKeyOf(entity: AnyEntity): readonly unknown[] | undefined {
  const { __originalEntityData: stored, __meta: metadata } = helper(entity);
  if (stored === undefined) return undefined;
  const parts = metadata.primaryKeys.map((name) => (stored as Record<string, unknown>)[name]);
  const key = parts.some(Array.isArray) ? (Utils.flatten(parts as unknown[][], true) as unknown[]) : parts;
  return key.some((part) => part === undefined || part === null) ? undefined : key;
}

/** The same of a key that is one plain property. */
export const storedPart = (entity: AnyEntity, name: string): unknown =>
  (helper(entity).__originalEntityData as Record<string, unknown> | undefined)?.[name];
