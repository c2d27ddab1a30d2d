import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { hasPendingChanges, isScheduledForRemoval, isWhole } from '../orm/entity.ts';
import { removesAnything } from '../orm/identity-map.ts';
import { lazyProperties, loadedLazyProperties } from '../orm/lazy.ts';
import { managedByKey } from '../orm/managed-keys.ts';
import type { Row, RowGroup } from './resolve.ts';
import type { Settings } from './settings.ts';

/** What loading goes by. */
export type LoadSettings = Pick<Settings, 'freshness' | 'unflushed' | 'lockMode' | 'parallel'>;

/** What one group still has to ask the database. */
export interface Work {
  readonly group: RowGroup;
  readonly load: Row[];
  /** Rows whose entity is kept as it is, and that only have to be locked. */
  readonly lock: Row[];
  /** Rows whose entity is kept as it is. */
  readonly keep: Row[];
  /** Entities that are older than a token of their row, and are read for that. */
  readonly outdated: readonly AnyEntity[];
  /** Lazy properties that entities of these rows have loaded, to be read along. */
  readonly lazies: ReadonlySet<string>;
}

/** Tells the rows that this EntityManager answers for from those the database must be asked about. */
export function planLoad(em: EntityManager, group: RowGroup, settings: LoadSettings): Work {
  const { freshness, lockMode } = settings;
  const lazies = new Set<string>();
  const outdated: AnyEntity[] = [];
  const work: Work = { group, load: [], lock: [], keep: [], outdated, lazies };
  const looks = freshness === 'managed' || lazyProperties(group.metadata).length > 0 || removesAnything(em);
  for (const row of group.rows.values()) {
    const entity = looks ? managedRow(em, group, row) : undefined;
    if (entity !== undefined && isScheduledForRemoval(em, entity)) continue;
    const kept = freshness === 'managed' ? entity : undefined;
    if (kept !== undefined && isOutdated(kept, row)) outdated.push(kept);
    else if (kept !== undefined && isWhole(kept)) {
      row.entity = row.read = kept;
      row.unflushed = hasPendingChanges(kept);
      (lockMode === undefined ? work.keep : work.lock).push(row);
      continue;
    }
    for (const name of entity === undefined ? [] : loadedLazyProperties(entity, group.metadata)) lazies.add(name);
    work.load.push(row);
  }
  return work;
}

const managedRow = (em: EntityManager, { metadata, primaryKey, schema, ownSchema }: RowGroup, row: Row) =>
  managedByKey(em, metadata, primaryKey, row, schema ?? ownSchema);

/** A token may prove that its row has been written since the entity was read. */
const isOutdated = (entity: AnyEntity, { dated = [] }: Row): boolean =>
  dated.some(({ plan: { model }, slot }) => {
    const held = model.version?.read(entity);
    return held !== undefined && model.version!.compare(held, slot.version!) < 0;
  });

/** Throws E_UNFLUSHED for rows of the payload that have unflushed changes here. */
export function refuseUnflushed(em: EntityManager, groups: readonly RowGroup[]): void {
  // One row may be in several groups, each with options of its own.
  const byEntity = new Map<AnyEntity, Row>();
  for (const group of groups) {
    for (const row of group.rows.values()) {
      const entity = managedRow(em, group, row);
      if (entity === undefined || isScheduledForRemoval(em, entity) || !hasPendingChanges(entity)) continue;
      if (!byEntity.has(entity)) byEntity.set(entity, row);
    }
  }
  const rows = [...byEntity.values()];
  if (rows.length === 0) return;
  throw ByReferenceError.unflushed(
    rows.map((row) => row.token),
    rows[0]!.path,
  );
}
