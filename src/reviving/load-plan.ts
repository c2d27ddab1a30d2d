import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import type { CanonicalKey } from '../keys/primary-key.ts';
import { hasPendingChanges, isLoaded, isScheduledForRemoval, rowSchemaOf } from '../orm/entity.ts';
import { managedEntities } from '../orm/identity-map.ts';
import type { Row, RowGroup } from './resolve.ts';
import type { Settings } from './settings.ts';

/** What loading goes by. */
export type LoadSettings = Pick<Settings, 'freshness' | 'unflushed' | 'lockMode' | 'parallel'>;

/** What one group still has to ask the database. */
export interface Work {
  readonly group: RowGroup;
  readonly load: Row[];
  /** Rows whose entity is kept as it is, and that only have to prove that they are still there. */
  readonly prove: Row[];
}

/** Tells the rows that this EntityManager answers for from those the database must be asked about. */
export function planLoad(em: EntityManager, group: RowGroup, settings: LoadSettings): Work {
  const work: Work = { group, load: [], prove: [] };
  const managed = indexManaged(em, group);
  for (const row of group.rows.values()) {
    const entity = managed.get(row.key.canonical);
    if (entity !== undefined && isScheduledForRemoval(em, entity)) continue;
    row.unflushed = entity !== undefined && hasPendingChanges(entity);
    const isKept =
      entity !== undefined &&
      isLoaded(entity) &&
      (settings.freshness === 'managed' || (row.unflushed && settings.unflushed !== 'overwrite'));
    if (!isKept) {
      work.load.push(row);
    } else if (settings.freshness === 'managed' && settings.lockMode === undefined) {
      row.entity = row.read = entity;
    } else {
      row.entity = entity;
      work.prove.push(row);
    }
  }
  return work;
}

function indexManaged(em: EntityManager, group: RowGroup): Map<CanonicalKey, AnyEntity> {
  const managed = new Map<CanonicalKey, AnyEntity>();
  const schema = group.schema ?? group.ownSchema;
  for (const entity of managedEntities(em, group.metadata)) {
    const canonical = group.primaryKey.canonicalOf(entity);
    const isInSchema = (rowSchemaOf(entity) ?? group.ownSchema) === schema;
    if (canonical !== undefined && isInSchema) managed.set(canonical, entity);
  }
  return managed;
}

export function refuseUnflushed(groups: readonly RowGroup[]): void {
  const rows = groups.flatMap((group) => [...group.rows.values()].filter((row) => row.unflushed));
  if (rows.length > 0)
    throw ByReferenceError.unflushed(
      rows.map((row) => row.token),
      rows[0]!.path,
    );
}
