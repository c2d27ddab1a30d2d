import type { AnyEntity, EntityManager, LockMode } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import type { CanonicalKey } from '../keys/primary-key.ts';
import { isScheduledForRemoval } from '../orm/entity.ts';
import { findByKeys, type FindByKeysOptions, populate, referenceTo } from '../orm/find.ts';
import { managesAnything, managesPendingChanges } from '../orm/identity-map.ts';
import { eagerRelations } from '../orm/metadata.ts';
import { skipsLocked } from '../orm/platform.ts';
import type { EntityToken } from '../wire/token.ts';
import { type LoadSettings, planLoad, refuseUnflushed, type Work } from './load-plan.ts';
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
): Promise<number> {
  if (settings.freshness === 'lazy') {
    for (const group of groups) for (const row of group.rows.values()) row.entity = lazyEntity(em, group, row);
    return 0;
  }
  const work = groups.map((group) => planLoad(em, group, settings));
  if (settings.unflushed === 'throw') refuseUnflushed(groups);
  // Jobs that lock the same rows take them in the same order, or they deadlock. Otherwise referenced tables go first:
  // MikroORM hydrates a relation faster when its row is in the identity map already.
  if (settings.lockMode === undefined) work.sort((a, b) => a.group.rank - b.group.rank);
  else work.sort((a, b) => compare(a.group.metadata.tableName, b.group.metadata.tableName));
  const loader = new Loader(em, settings);
  const tasks = work.flatMap((item) => loader.tasks(item));
  if (tasks.length === 1) await tasks[0]!();
  else await runAll(tasks, em.isInTransaction() ? 1 : (settings.parallel ?? defaultParallel(groups)));
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
  const entity = referenceTo(em, row.model.metadata, row.key.value, group.schema);
  return isScheduledForRemoval(em, entity) ? undefined : entity;
}

type Found = (row: Row, entity: AnyEntity) => void;

class Loader {
  queries = 0;
  readonly #em: EntityManager;
  readonly #settings: LoadSettings;
  /** An empty identity map has nothing to refresh, and MikroORM hydrates faster without. */
  readonly #refresh: boolean;
  readonly #skips: boolean;

  constructor(em: EntityManager, settings: LoadSettings) {
    this.#em = em;
    this.#settings = settings;
    this.#skips = settings.lockMode !== undefined && skipsLocked(settings.lockMode);
    this.#refresh = settings.freshness === 'refresh' && managesAnything(em);
  }

  tasks({ group, load, prove }: Work): (() => Promise<void>)[] {
    return [
      ...this.#chunks(group, load).map((rows) => () => this.#load(group, rows)),
      ...this.#chunks(group, prove).map((rows) => () => this.#prove(group, rows)),
    ];
  }

  #chunks(group: RowGroup, rows: Row[]): Row[][] {
    if (this.#settings.lockMode !== undefined) rows.sort((a, b) => compare(a.key.canonical, b.key.canonical));
    const size = group.primaryKey.width === 1 ? CHUNK.single : CHUNK.composite;
    if (rows.length <= size) return rows.length === 0 ? [] : [rows];
    return Array.from({ length: Math.ceil(rows.length / size) }, (_, index) =>
      rows.slice(index * size, (index + 1) * size),
    );
  }

  async #load(group: RowGroup, rows: readonly Row[]): Promise<void> {
    const relations = [...(group.populate ?? []), ...eagerRelations(group.metadata)];
    const loadsApart = relations.length > 0 && this.#sparesChanges();
    const options = {
      refresh: this.#refresh,
      populate: loadsApart ? false : group.populate,
      lockMode: this.#settings.lockMode,
    } as const;
    const entities = await this.#find(group, rows, options, (row, entity) => (row.entity = row.read = entity));
    if (loadsApart) await populate(this.#em, entities, relations, group.schema);
    if (this.#skips) await this.#refuseSkipped(group, rows);
  }

  /** Refreshing related rows along would overwrite what the user has not flushed of them. */
  #sparesChanges(): boolean {
    return this.#refresh && this.#settings.unflushed !== 'overwrite' && managesPendingChanges(this.#em);
  }

  async #prove(group: RowGroup, rows: readonly Row[]): Promise<void> {
    await this.#look(group, rows, this.#settings.lockMode, (row, entity) => (row.read = entity));
    for (const row of rows) if (row.read === undefined) row.entity = undefined;
    const kept = rows.flatMap((row) => row.entity ?? []);
    if (group.populate !== undefined && kept.length > 0) await populate(this.#em, kept, group.populate, group.schema);
    if (this.#skips) await this.#refuseSkipped(group, rows);
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
  #look(group: RowGroup, rows: readonly Row[], lockMode: LockMode | undefined, found: Found): Promise<AnyEntity[]> {
    return this.#find(group, rows, { refresh: false, populate: false, lockMode, besideIdentityMap: true }, found);
  }

  /** Tells `found` of each row that is there. Rows and results meet by our own canonical key. */
  async #find(
    group: RowGroup,
    rows: readonly Row[],
    options: Omit<FindByKeysOptions, 'schema' | 'filters'>,
    found: Found,
  ): Promise<AnyEntity[]> {
    this.queries++;
    const keys = rows.map((row) => row.key.value);
    const { schema, filters } = group;
    let entities: AnyEntity[];
    try {
      entities = await findByKeys(this.#em, group.metadata, keys, { ...options, schema, filters });
    } catch (error) {
      throw explained(error, rows);
    }
    for (const entity of entities) {
      const row = group.rows.get(group.primaryKey.canonicalOf(entity)!);
      if (row !== undefined) found(row, entity);
    }
    return entities;
  }
}

/** The two database errors that are about the payload or the lock; any other stays what it is. */
function explained(error: unknown, rows: readonly Row[]): unknown {
  const sqlState = (error as { code?: unknown } | null)?.code;
  if (typeof sqlState !== 'string') return error;
  const tokens = () => rows.map((row) => row.token);
  // Class 22 is "data exception": a key that passed our checks and that its column refuses all the same.
  if (/^22...$/.test(sqlState)) {
    return ByReferenceError.malformed('the database refuses a key as a value of its column', {
      cause: error,
      tokens: tokens(),
      path: rows[0]!.path,
    });
  }
  // lock_not_available: the transaction is aborted, nothing more can be asked in it.
  if (sqlState === '55P03') return ByReferenceError.locked(tokens(), 'roll back and retry the transaction', error);
  return error;
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

const compare = <T extends CanonicalKey>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0);
