import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import type { CanonicalKey } from '../keys/primary-key.ts';
import { storedKeys } from '../orm/key-query.ts';
import type { Row, RowGroup } from './resolve.ts';

/** What is told of each row that a query has found. */
export type Found = (row: Row, entity: AnyEntity) => void;

/**
 * Has the rows that were asked for meet the entities that a query returned, by our own canonical key. Where only the
 * database knows which spellings are equal, as with citext, it is asked about the keys that came back short: in one
 * query, which is what is returned.
 */
export async function meet(
  em: EntityManager,
  group: RowGroup,
  asked: readonly Row[],
  entities: readonly AnyEntity[],
  found: Found,
): Promise<number> {
  const { rows, primaryKey } = group;
  const byKey = new Map<CanonicalKey, AnyEntity>();
  for (const entity of entities) {
    const canonical = primaryKey.canonicalOf(entity)!;
    const row = rows.get(canonical);
    if (row !== undefined) found(row, entity);
    if (primaryKey.asks) byKey.set(canonical, entity);
  }
  if (!primaryKey.asks || entities.length === 0) return 0;
  const short = asked.filter((row) => !byKey.has(row.key.canonical));
  if (short.length === 0) return 0;
  if (asked.length === 1) {
    found(asked[0]!, entities[0]!);
    return 0;
  }
  for (const { index, stored } of await storedKeys(em, group.metadata, group.schema ?? em.schema, short.map(flatKey))) {
    const row = short[index]!;
    const entity = byKey.get(primaryKey.respelled(row.key, stored)!);
    if (entity !== undefined) found(row, entity);
  }
  return 1;
}

export const flatKey = ({ key: { value } }: Row): readonly unknown[] => (Array.isArray(value) ? value : [value]);
