import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { PrimaryKey } from '../keys/primary-key.ts';
import { rowBody } from '../models/entity-reference.ts';
import type { ModelRegistry } from '../models/model-registry.ts';
import { Admission } from '../orm/admission.ts';
import { freshFork } from '../orm/context.ts';
import { isLoaded, metadataOf } from '../orm/entity.ts';
import { allManaged } from '../orm/identity-map.ts';
import { ownSchema } from '../orm/metadata.ts';
import { EntityToken } from '../wire/token.ts';
import { loadRows } from './load-rows.ts';
import type { RowGroup } from './resolve.ts';
import type { Settings } from './settings.ts';

/**
 * Reads what a call would read into an EntityManager of its own, relations along, and asks once about each row. Those
 * that are refused, or not there, are out of the groups afterwards: the caller's EntityManager never hears of them.
 */
export async function authorizeRows(
  em: EntityManager,
  groups: readonly RowGroup[],
  settings: Settings,
): Promise<{ readonly admission: Admission; readonly queries: number }> {
  const { registry, authorize } = settings;
  const reader = freshFork(em, { inTransaction: true });
  const copies = groups.map((group) => ({ group, copy: group.copyFor(reader) }));
  const read = { ...settings, freshness: 'refresh', unflushed: 'overwrite', lockMode: undefined } as const;
  const queries = await loadRows(
    reader,
    copies.map(({ copy }) => copy),
    read,
  );
  const verdicts = new Map<AnyEntity, boolean>();
  const admits = async (entity: AnyEntity, token: () => EntityToken): Promise<boolean> => {
    const verdict = verdicts.get(entity) ?? (await authorize!(entity, token()));
    verdicts.set(entity, verdict);
    return verdict;
  };
  for (const { group, copy } of copies) {
    for (const [key, row] of copy.rows) {
      if (row.entity === undefined || !(await admits(row.entity, () => row.token))) group.rows.delete(key);
    }
  }
  for (const entity of allManaged(reader)) {
    if (isLoaded(entity)) await admits(entity, () => tokenOf(entity, registry, reader));
  }
  const refused = new Set([...verdicts].flatMap(([entity, verdict]) => (verdict ? [] : [entity])));
  return { admission: new Admission(reader, refused), queries };
}

/** The token of a row that a relation has brought; its model need not be declared. */
function tokenOf(entity: AnyEntity, registry: ModelRegistry, em: EntityManager): EntityToken {
  const metadata = metadataOf(entity);
  const referable = registry.modelOf(entity.constructor) ?? {
    name: metadata.className,
    primaryKey: PrimaryKey.of(metadata, em.getPlatform()),
    schema: ownSchema(metadata, em.config),
  };
  return EntityToken.fromBody(rowBody(entity, referable));
}
