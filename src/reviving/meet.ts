import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import type { CanonicalKey } from '../keys/primary-key.ts';
import { storedKeys } from '../orm/key-query.ts';
import type { Row, RowGroup } from './resolve.ts';

/** What is told of each row that a query has found. */
export type Found = (row: Row, entity: AnyEntity) => void;

/**
 * Has the rows that were asked for meet the entities that a query returned, by our own canonical key. Returns those that
 * came back short and may have been found under another spelling, as with citext: which are equal only the database knows.
 */
export function meet(
  { rows, primaryKey }: RowGroup,
  asked: readonly Row[],
  entities: readonly AnyEntity[],
  found: Found,
): readonly Row[] {
  const met = primaryKey.asks ? new Set<CanonicalKey>() : undefined;
  for (const entity of entities) {
    const canonical = primaryKey.canonicalOf(entity)!;
    const row = rows.get(canonical);
    if (row !== undefined) found(row, entity);
    met?.add(canonical);
  }
  if (met === undefined || entities.length === 0) return NONE;
  const short = asked.filter((row) => !met.has(row.canonical));
  if (short.length === 0 || asked.length > 1) return short;
  found(short[0]!, entities[0]!);
  return NONE;
}

const NONE: readonly Row[] = [];

/** The same for those that came back short: in one query, which asks for the spelling that each has in the database. */
export async function meetRespelled(
  em: EntityManager,
  { metadata, schema, primaryKey }: RowGroup,
  short: readonly Row[],
  entities: readonly AnyEntity[],
  found: Found,
): Promise<void> {
  const byKey = new Map(entities.map((entity) => [primaryKey.canonicalOf(entity)!, entity]));
  for (const { index, stored } of await storedKeys(em, metadata, schema ?? em.schema, short.map(flatKey))) {
    const row = short[index]!;
    const entity = byKey.get(primaryKey.respelled(row, stored)!);
    if (entity !== undefined) found(row, entity);
  }
}

export const flatKey = ({ value }: Row): readonly unknown[] => (Array.isArray(value) ? value : [value]);
