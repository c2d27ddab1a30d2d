import { type AnyEntity, type EntityManager, LockMode } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { type CanonicalKey, PrimaryKey } from '../keys/primary-key.ts';
import type { Admission } from '../orm/admission.ts';
import { constructsEntities, isScheduledForRemoval, isWhole, metadataOf, rowSchemaOf } from '../orm/entity.ts';
import { findByKeys, findByKeysBeside, populate, referenceTo } from '../orm/find.ts';
import { managesAnything } from '../orm/identity-map.ts';
import { type Merging, newMerging } from '../orm/merge-row.ts';
import { queriedClass } from '../orm/metadata.ts';
import { isMysql, skipsLocked } from '../orm/platform.ts';
import type { EntityToken } from '../wire/token.ts';
import { chunksOf, findRows, runAll, type Task } from './find-rows.ts';
import { type LoadSettings, planLoad, refuseUnflushed, type Work } from './load-plan.ts';
import type { Found } from './meet.ts';
import type { Row, RowGroup } from './resolve.ts';

/**
 * Gives each row its entity, or leaves it undefined where there is none: one query per group and chunk, in parallel
 * outside a transaction. Returns how many queries that took. Throws E_UNFLUSHED, E_LOCKED, E_MALFORMED; a failure of
 * the database passes through.
 */
export function loadRows(
  em: EntityManager,
  groups: readonly RowGroup[],
  settings: LoadSettings,
  admission?: Admission,
): Promise<number> {
  if (settings.freshness === 'lazy') return referTo(em, groups);
  const isFresh = admission === undefined && !managesAnything(em) && !constructsEntities(em);
  // Nothing is here that would be kept, merged or locked: this is how a job begins.
  if (isFresh && settings.lockMode === undefined) return loadFresh(em, groups, settings);
  return loadMeeting(em, groups, settings, isFresh, admission);
}

/** Gives each row a reference, without a query. */
async function referTo(em: EntityManager, groups: readonly RowGroup[]): Promise<number> {
  for (const group of groups) for (const row of group.rows.values()) row.entity = lazyEntity(em, group, row);
  return 0;
}

/** Into an EntityManager that may manage rows of these, or with locks. */
async function loadMeeting(
  em: EntityManager,
  groups: readonly RowGroup[],
  settings: LoadSettings,
  isFresh: boolean,
  admission: Admission | undefined,
): Promise<number> {
  if (settings.unflushed === 'throw') refuseUnflushed(em, groups);
  const work = groups.map((group) => planLoad(em, group, settings));
  const merging = isFresh
    ? undefined
    : mergingOf(settings, admission, new Set(work.flatMap(({ outdated }) => outdated)));
  // Jobs that lock the same rows take them in the same order, or they deadlock. Otherwise referenced tables go first:
  // MikroORM hydrates a relation faster when its row is in the identity map already.
  if (settings.lockMode === undefined) work.sort((a, b) => a.group.model.rank - b.group.model.rank);
  else work.sort((a, b) => compareText(a.group.metadata.tableName, b.group.metadata.tableName));
  const loader = new Loader(em, settings, merging);
  const tasks = work.flatMap((item) => loader.tasks(item));
  const queries = await runAll(tasks, em, groups, settings);
  return queries + (await loader.readLazies());
}

/** Into an EntityManager that manages nothing. */
function loadFresh(em: EntityManager, groups: readonly RowGroup[], settings: LoadSettings): Promise<number> {
  const sorted = groups.length === 1 ? groups : groups.toSorted((a, b) => a.model.rank - b.model.rank);
  const tasks: Task[] = [];
  for (const group of sorted) {
    for (const rows of chunksOf(group, [...group.rows.values()])) tasks.push(() => findFresh(em, group, rows));
  }
  return runAll(tasks, em, groups, settings);
}

function findFresh(em: EntityManager, group: RowGroup, rows: readonly Row[]): Promise<number> {
  const { metadata, schema, filters, populate } = group;
  const options = { schema, filters, populate, merging: undefined, lockMode: undefined };
  return findRows(em, group, rows, (keys) => findByKeys(em, metadata, keys, options), isRead);
}

function isRead(row: Row, entity: AnyEntity): void {
  row.entity = row.read = entity;
}

function lazyEntity(em: EntityManager, group: RowGroup, row: Row): AnyEntity | undefined {
  const entity = referenceTo(em, row.model.metadata, group.primaryKey.held(row), group.schema);
  return isScheduledForRemoval(em, entity) ? undefined : entity;
}

/** Each of its methods that read returns how many queries it took; what relations took MikroORM doesn't tell. */
class Loader {
  readonly #em: EntityManager;
  readonly #settings: LoadSettings;
  /** Undefined where nothing is managed. */
  readonly #merging: Merging | undefined;
  readonly #skips: boolean;

  constructor(em: EntityManager, settings: LoadSettings, merging: Merging | undefined) {
    this.#em = em;
    this.#settings = settings;
    this.#skips = settings.lockMode !== undefined && skipsLocked(settings.lockMode);
    this.#merging = merging;
  }

  tasks(work: Work): Task[] {
    const { group, load, lock, keep } = work;
    const tasks = [
      ...this.#chunks(group, load).map((rows) => () => this.#load(work, rows)),
      ...this.#chunks(group, lock).map((rows) => () => this.#lock(group, rows)),
    ];
    if (keep.length > 0 && group.populate !== undefined) tasks.push(() => this.#populate(group, keep));
    return tasks;
  }

  #chunks(group: RowGroup, rows: Row[]): readonly Row[][] {
    if (this.#settings.lockMode !== undefined) rows.sort((a, b) => compareKeys(a.canonical, b.canonical));
    return chunksOf(group, rows);
  }

  async #load({ group, lazies }: Work, rows: readonly Row[]): Promise<number> {
    const { schema, filters } = group;
    const populate = lazies.size === 0 ? group.populate : [...(group.populate ?? []), ...lazies];
    const options = { schema, filters, populate, merging: this.#merging, lockMode: this.#settings.lockMode };
    const sent = await findRows(
      this.#em,
      group,
      rows,
      (keys) => findByKeys(this.#em, group.metadata, keys, options),
      (row, entity) => {
        row.entity = row.read = entity;
        row.stored = this.#merging?.spared.get(entity);
        row.unflushed = row.stored !== undefined;
      },
    );
    return sent + (await this.#refuseSkipped(group, rows));
  }

  async #lock(group: RowGroup, rows: readonly Row[]): Promise<number> {
    for (const row of rows) row.read = undefined;
    const sent = await this.#look(group, rows, this.#settings.lockMode, (row, entity) => (row.read = entity));
    for (const row of rows) if (row.read === undefined) row.entity = undefined;
    if (group.populate !== undefined) await this.#populate(group, rows);
    return sent + (await this.#refuseSkipped(group, rows));
  }

  async #populate({ populate: hints, schema }: RowGroup, rows: readonly Row[]): Promise<number> {
    const entities = rows.flatMap((row) => row.entity ?? []);
    if (entities.length > 0) await populate(this.#em, entities, hints!, schema, this.#merging);
    return 0;
  }

  /** Reads what rows did not bring of entities that were met on the way: one query more per table. */
  async readLazies(): Promise<number> {
    const { unread } = this.#merging ?? {};
    if (unread === undefined || unread.size === 0) return 0;
    // Not by names: MikroORM 7 takes two classes of one.
    const storage = this.#em.getMetadata();
    const sources = [...Map.groupBy(unread, ([entity]) => queriedClass(metadataOf(entity), storage))].flatMap(
      ([metadata, all]) =>
        [...Map.groupBy(all, ([entity]) => rowSchemaOf(entity))].map(([schema, entries]) => ({
          metadata,
          schema,
          entries,
        })),
    );
    for (const { metadata, schema, entries } of sources) {
      const primaryKey = PrimaryKey.of(metadata, this.#em.getPlatform());
      const keys = entries.flatMap(([entity]) => primaryKey.databaseKeyOf(entity) ?? []);
      const populate = [...new Set(entries.flatMap(([, names]) => names))];
      const entities = new Set(entries.map(([entity]) => entity));
      const merging = { ...this.#merging!, refreshes: (entity: AnyEntity) => entities.has(entity) };
      const options = { schema, filters: false, populate, merging, lockMode: undefined };
      await findByKeys(this.#em, metadata, keys, options);
    }
    return sources.length;
  }

  /** SKIP LOCKED returns nothing for a locked row: only another query tells it from a missing one. */
  async #refuseSkipped(group: RowGroup, rows: readonly Row[]): Promise<number> {
    const short = this.#skips ? rows.filter((row) => row.read === undefined) : [];
    if (short.length === 0) return 0;
    const locked: EntityToken[] = [];
    const found = (row: Row): void => void locked.push(row.token);
    let sent = short.length;
    if (isMysql(this.#em.getPlatform())) {
      for (const row of short) if (await this.#isTaken(group, row)) found(row);
    } else {
      sent = await this.#look(group, short, undefined, found);
    }
    if (locked.length > 0) throw ByReferenceError.locked(locked, 'retry later');
    return sent;
  }

  /** Without a lock MySQL would tell what was there when the transaction began to read: rows that are deleted since. */
  async #isTaken(group: RowGroup, row: Row): Promise<boolean> {
    let isThere = false;
    try {
      await this.#look(group, [row], LockMode.PESSIMISTIC_WRITE_OR_FAIL, () => (isThere = true));
    } catch (error) {
      if ((error as { readonly code?: unknown }).code === 'E_LOCKED') return true;
      throw error;
    }
    return isThere;
  }

  /** Reads rows beside the identity map: that they are there, their class and their version. */
  #look(group: RowGroup, rows: readonly Row[], lockMode: LockMode | undefined, found: Found): Promise<number> {
    const { schema, filters, metadata } = group;
    const options = { schema, filters, lockMode };
    return findRows(this.#em, group, rows, (keys) => findByKeysBeside(this.#em, metadata, keys, options), found);
  }
}

function mergingOf(
  { freshness, unflushed }: LoadSettings,
  admission: Admission | undefined,
  outdated: ReadonlySet<AnyEntity>,
): Merging {
  return newMerging(
    unflushed !== 'overwrite',
    freshness === 'managed' ? isReadInPart(outdated) : () => true,
    admission,
  );
}

/**
 * Where all that is loaded is kept, a row of which a part is loaded is read again as a whole, and not torn in two. That
 * part may be whole once another row has told it the other side of a 1:1: it is as it was when it was first asked for.
 * So is one that is older than a token says.
 */
function isReadInPart(outdated: ReadonlySet<AnyEntity>): (entity: AnyEntity) => boolean {
  const answers = new Map<AnyEntity, boolean>(Array.from(outdated, (entity) => [entity, true]));
  return (entity) => {
    let answer = answers.get(entity);
    if (answer === undefined) answers.set(entity, (answer = !isWhole(entity)));
    return answer;
  };
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Whole numbers from 0 in their own order; the order of anything else is as good as another, where all keep to it. */
const compareKeys = (a: CanonicalKey, b: CanonicalKey): number => a.length - b.length || compareText(a, b);
