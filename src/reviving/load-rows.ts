import type { AnyEntity, EntityManager, EntityMetadata, LockMode } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { type CanonicalKey, PrimaryKey } from '../keys/primary-key.ts';
import type { Admission } from '../orm/admission.ts';
import {
  constructsEntities,
  isLoaded,
  isPartial,
  isScheduledForRemoval,
  metadataOf,
  rowSchemaOf,
} from '../orm/entity.ts';
import { findByKeys, findByKeysBeside, populate, referenceTo } from '../orm/find.ts';
import { managesAnything } from '../orm/identity-map.ts';
import { type Merging, newMerging } from '../orm/merge-row.ts';
import { meetingManaged } from '../orm/managed-keys.ts';
import { queriedClass } from '../orm/metadata.ts';
import { skipsLocked } from '../orm/platform.ts';
import type { EntityToken } from '../wire/token.ts';
import { blaming } from './blame.ts';
import { type LoadSettings, planLoad, refuseUnflushed, type Work } from './load-plan.ts';
import { type Found, meet } from './meet.ts';
import type { Row, RowGroup } from './resolve.ts';

/** Keys per query: MikroORM writes them into the SQL text, and PostgreSQL's parser recurses over tuples. */
const CHUNK = { single: 10_000, composite: 1_000 };

/**
 * Gives each row its entity, or leaves it undefined where there is none: one query per group and chunk, in parallel
 * outside a transaction. Returns how many queries that took. Throws E_UNFLUSHED, E_LOCKED, E_MALFORMED; a failure of
 * the database passes through.
 */
export async function loadRows(
  em: EntityManager,
  groups: readonly RowGroup[],
  settings: LoadSettings,
  admission?: Admission,
): Promise<number> {
  if (settings.freshness === 'lazy') {
    for (const group of groups) for (const row of group.rows.values()) row.entity = lazyEntity(em, group, row);
    return 0;
  }
  if (settings.unflushed === 'throw') refuseUnflushed(em, groups);
  const work = groups.map((group) => planLoad(em, group, settings));
  // Jobs that lock the same rows take them in the same order, or they deadlock. Otherwise referenced tables go first:
  // MikroORM hydrates a relation faster when its row is in the identity map already.
  if (settings.lockMode === undefined) work.sort((a, b) => a.group.rank - b.group.rank);
  else work.sort((a, b) => compareText(a.group.metadata.tableName, b.group.metadata.tableName));
  const loader = new Loader(em, settings, admission);
  const tasks = work.flatMap((item) => loader.tasks(item));
  if (tasks.length === 1) await tasks[0]!();
  else await runAll(tasks, em.isInTransaction() ? 1 : (settings.parallel ?? defaultParallel(groups)));
  await loader.readLazies();
  return loader.queries;
}

/**
 * Few rows: waiting for the database takes the time. Many: hydration does, which is faster in the order of the groups;
 * two queries at once still have the next answer waiting when one is done with.
 */
function defaultParallel(groups: readonly RowGroup[]): number {
  const rows = groups.reduce((sum, group) => sum + group.rows.size, 0);
  return rows <= 1_000 ? 4 : 2;
}

function lazyEntity(em: EntityManager, group: RowGroup, row: Row): AnyEntity | undefined {
  const entity = referenceTo(em, row.model.metadata, group.primaryKey.held(row.key), group.schema);
  return isScheduledForRemoval(em, entity) ? undefined : entity;
}

class Loader {
  queries = 0;
  readonly #em: EntityManager;
  readonly #settings: LoadSettings;
  /** Undefined where nothing is managed: MikroORM hydrates faster when it has nothing to refresh. */
  readonly #merging: Merging | undefined;
  readonly #skips: boolean;

  constructor(em: EntityManager, settings: LoadSettings, admission: Admission | undefined) {
    this.#em = em;
    this.#settings = settings;
    this.#skips = settings.lockMode !== undefined && skipsLocked(settings.lockMode);
    const merges = admission !== undefined || managesAnything(em) || constructsEntities(em);
    this.#merging = merges ? mergingOf(settings, admission) : undefined;
  }

  tasks(work: Work): (() => Promise<void>)[] {
    const { group, load, lock, keep } = work;
    const tasks = [
      ...this.#chunks(group, load).map((rows) => () => this.#load(work, rows)),
      ...this.#chunks(group, lock).map((rows) => () => this.#lock(group, rows)),
    ];
    if (keep.length > 0 && group.populate !== undefined) tasks.push(() => this.#populate(group, keep));
    return tasks;
  }

  #chunks(group: RowGroup, rows: Row[]): Row[][] {
    if (this.#settings.lockMode !== undefined) rows.sort((a, b) => compareKeys(a.key.canonical, b.key.canonical));
    const size = group.primaryKey.width === 1 ? CHUNK.single : CHUNK.composite;
    if (rows.length <= size) return rows.length === 0 ? [] : [rows];
    return Array.from({ length: Math.ceil(rows.length / size) }, (_, index) =>
      rows.slice(index * size, (index + 1) * size),
    );
  }

  async #load({ group, lazies }: Work, rows: readonly Row[]): Promise<void> {
    const { schema, filters } = group;
    const populate = lazies.size === 0 ? group.populate : [...(group.populate ?? []), ...lazies];
    const options = { schema, filters, populate, merging: this.#merging, lockMode: this.#settings.lockMode };
    await this.#find(
      group,
      rows,
      (keys) => findByKeys(this.#em, group.metadata, keys, options),
      (row, entity) => {
        row.entity = row.read = entity;
        row.stored = this.#merging?.spared.get(entity);
        row.unflushed = row.stored !== undefined;
      },
    );
    if (this.#skips) await this.#refuseSkipped(group, rows);
  }

  async #lock(group: RowGroup, rows: readonly Row[]): Promise<void> {
    for (const row of rows) row.read = undefined;
    await this.#look(group, rows, this.#settings.lockMode, (row, entity) => (row.read = entity));
    for (const row of rows) if (row.read === undefined) row.entity = undefined;
    if (group.populate !== undefined) await this.#populate(group, rows);
    if (this.#skips) await this.#refuseSkipped(group, rows);
  }

  async #populate({ populate: hints, schema }: RowGroup, rows: readonly Row[]): Promise<void> {
    const entities = rows.flatMap((row) => row.entity ?? []);
    if (entities.length > 0) await populate(this.#em, entities, hints!, schema, this.#merging?.admission);
  }

  /** Reads what rows did not bring of entities that were met on the way: one query more per table. */
  async readLazies(): Promise<void> {
    const { unread } = this.#merging ?? {};
    if (unread === undefined || unread.size === 0) return;
    const sources = Map.groupBy(unread, ([entity]) => `${tableOf(entity)} ${rowSchemaOf(entity) ?? ''}`);
    for (const entries of sources.values()) {
      const [[first]] = entries as [[AnyEntity, readonly string[]]];
      const [metadata, schema] = [queriedClass(metadataOf(first)), rowSchemaOf(first)];
      const primaryKey = PrimaryKey.of(metadata, this.#em.getPlatform());
      const keys = entries.flatMap(([entity]) => primaryKey.databaseKeyOf(entity) ?? []);
      const populate = [...new Set(entries.flatMap(([, names]) => names))];
      const entities = new Set(entries.map(([entity]) => entity));
      const merging = { ...this.#merging!, refreshes: (entity: AnyEntity) => entities.has(entity) };
      const options = { schema, filters: false, populate, merging, lockMode: undefined };
      this.queries++;
      await findByKeys(this.#em, metadata, keys, options);
    }
  }

  /** SKIP LOCKED returns nothing for a locked row: only a query without the lock tells it from a missing one. */
  async #refuseSkipped(group: RowGroup, rows: readonly Row[]): Promise<void> {
    const short = rows.filter((row) => row.read === undefined);
    if (short.length === 0) return;
    const locked: EntityToken[] = [];
    await this.#look(group, short, undefined, (row) => locked.push(row.token));
    if (locked.length > 0) throw ByReferenceError.locked(locked, 'retry later');
  }

  /** Reads rows beside the identity map: that they are there, their class and their version. */
  #look(group: RowGroup, rows: readonly Row[], lockMode: LockMode | undefined, found: Found): Promise<void> {
    const { schema, filters, metadata } = group;
    const options = { schema, filters, lockMode };
    return this.#find(group, rows, (keys) => findByKeysBeside(this.#em, metadata, keys, options), found);
  }

  /** Tells `found` of each row that is there. Rows and results meet by our own canonical key. */
  async #find(
    group: RowGroup,
    rows: readonly Row[],
    query: (keys: readonly unknown[]) => Promise<AnyEntity[]>,
    found: Found,
  ): Promise<void> {
    this.queries++;
    const keys = rows.map((row) => row.key.value);
    const keysOf = (root: EntityMetadata) => PrimaryKey.of(root, this.#em.getPlatform());
    const entities = await blaming(this.#em, group, rows, () =>
      meetingManaged(this.#em, group, keysOf, () => query(keys)),
    );
    this.queries += await meet(this.#em, group, rows, entities, found);
  }
}

/** What one query reads. */
const tableOf = (entity: AnyEntity): string => queriedClass(metadataOf(entity)).className;

function mergingOf({ freshness, unflushed }: LoadSettings, admission: Admission | undefined): Merging {
  // Where all that is loaded is kept, a row of which a part is loaded is read again as a whole, and not torn in two.
  const refreshes =
    freshness === 'managed' ? (entity: AnyEntity) => !isLoaded(entity) || isPartial(entity) : () => true;
  return newMerging(unflushed !== 'overwrite', refreshes, admission);
}

/** Runs the tasks, a few at once. Settles only when none is under way: the EntityManager is the caller's again. */
async function runAll(tasks: readonly (() => Promise<void>)[], parallel: number): Promise<void> {
  const queue = tasks.values();
  let failed = false;
  const worker = async (): Promise<void> => {
    for (const task of queue) {
      if (failed) return;
      await task().catch((error: unknown) => {
        failed = true;
        throw error;
      });
    }
  };
  const results = await Promise.allSettled(Array.from({ length: Math.min(parallel, tasks.length) }, worker));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Whole numbers from 0 in their own order; the order of anything else is as good as another, where all keep to it. */
const compareKeys = (a: CanonicalKey, b: CanonicalKey): number => a.length - b.length || compareText(a, b);
