import type { EntityManager, FilterQuery } from '@mikro-orm/core';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import type { Signed } from '../options.ts';
import type { EntityOf, EntityType } from '../orm/entity-class.ts';
import { reportOf } from '../orm/orm-error.ts';
import type { Encoded, Revived } from '../types.ts';
import type { BentoCacheLike } from './bento-like.ts';
import { entryKey } from './cache-key.ts';
import { Invalidation, type Report } from './invalidation.ts';
import { LogicalClock } from './logical-clock.ts';
import { type Entry, Maker } from './maker.ts';
import {
  type CacheStats,
  checkCacheOptions,
  checkGetOrSetOptions,
  type Counters,
  type EntityCacheOptions,
  type GetOrSetOptions,
} from './options.ts';
import { type CacheRecord, isUnreadable, labelled, readRecord, recordOf } from './record.ts';

/**
 * Values that were expensive to make, kept in bentocache with their entities as tokens: a hit has the rows of now, and
 * what a commit has changed is not served any more.
 *
 * Build it at start: like the listener of `afterCommit`, the one that invalidates must be in place before a transaction
 * begins.
 */
export class EntityCache {
  readonly #serializer: EntitySerializer;
  readonly #bento: BentoCacheLike;
  readonly #signed: Signed;
  readonly #report: Report;
  readonly #invalidation: Invalidation;
  readonly #maker: Maker;
  readonly #counters: Counters = {
    hits: 0,
    stale: 0,
    misses: 0,
    factoryCalls: 0,
    refreshes: 0,
    failedRefreshes: 0,
    invalidated: 0,
    unreadable: 0,
  };
  /** Whether the first level hands out one object again and again, as one that does not serialize does. */
  #isShared: boolean | undefined;

  /** Throws E_INVALID_OPTION. */
  constructor(serializer: EntitySerializer, bentocache: BentoCacheLike, options: EntityCacheOptions = {}) {
    checkCacheOptions(options);
    const { onError = warn, singleProcess = false, signed = serializer.signed } = options;
    if (signed) serializer.refuseWrongOptions({ signed });
    const report: Report = (error) => {
      try {
        onError(error);
      } catch (failure) {
        warn(failure);
      }
    };
    const clock = new LogicalClock();
    const invalidation = new Invalidation(serializer, bentocache, clock, { report, singleProcess });
    this.#serializer = serializer;
    this.#bento = bentocache;
    this.#signed = signed;
    this.#report = report;
    this.#invalidation = invalidation;
    const store = (entry: Entry, record: CacheRecord): Promise<void> => this.#store(entry, record);
    this.#maker = new Maker({ serializer, clock, invalidation, counters: this.#counters, report, store });
  }

  /** A snapshot of the counters. */
  get stats(): CacheStats {
    return { ...this.#counters };
  }

  /**
   * The value under a key, or what `factory` makes of it. In either case it comes through the serializer: the same
   * shape on a miss as on a hit, each entity managed by `em` and fresh, the same row the same object, one query per
   * model; a value without entities costs none.
   *
   * A value is served no more once a row in it, or any of a model in `dependsOn`, is changed by a flush whose outermost
   * transaction commits; a row that is gone makes it a miss. In a transaction, what is made is stored after the commit.
   * Throws what `factory` throws, what `serialize` and `deserialize` throw for its value, E_INVALID_OPTION.
   */
  async getOrSet<T>(options: GetOrSetOptions<T>): Promise<Revived<T>> {
    checkGetOrSetOptions(options);
    const entry: Entry = { key: entryKey(this.#serializer, options.key), options };
    const record = await this.#stored(entry);
    // Nothing is awaited without need: a hit is a matter of microseconds.
    if (record !== undefined && (record.tags === undefined || !(await this.#invalidation.isStale(record)))) {
      const revived =
        record.plain === undefined ? await this.#revive(record, options.em) : await this.#plain(record, entry);
      if (revived !== undefined) {
        this.#count(record, entry);
        return revived.value as Revived<T>;
      }
    } else if (record !== undefined) {
      this.#counters.invalidated++;
    }
    this.#counters.misses++;
    return (await this.#make(entry)) as Revived<T>;
  }

  /** Forgets the value under a key, here and in the second level; one that is being made is not stored. */
  async delete(key: unknown): Promise<void> {
    const text = entryKey(this.#serializer, key);
    this.#maker.drop(text);
    await this.#bento.delete({ key: text });
  }

  /**
   * Makes stale what hangs on the model and on its rows that match, subclasses included: for what no flush has written,
   * such as nativeUpdate, raw SQL and cascades of the database. One query for the keys, hidden rows included. In a
   * transaction of `em` it happens after the commit. Throws E_INVALID_OPTION.
   */
  async touch<Type extends EntityType>(
    model: Type,
    where: FilterQuery<EntityOf<NoInfer<Type>>> = {} as FilterQuery<EntityOf<NoInfer<Type>>>,
    { em }: { readonly em?: EntityManager } = {},
  ): Promise<void> {
    await this.#invalidation.touch(model, where as object, em);
  }

  /**
   * Text for other caches and HTTP ETags that changes when the row does: the token with its version. Reads what is in
   * memory. Throws as `token`, and E_INVALID_OPTION where the model has no version property, or it is not loaded.
   */
  cacheKey(entity: object): string {
    const token = this.#serializer.token(entity, { versions: true });
    if (token.version === undefined) {
      const expected = 'a loaded entity of a model with a version property; name one with @ByReference({ version })';
      throw ByReferenceError.invalidOption('entity', expected, token.model);
    }
    return token.toString();
  }

  /** What is stored, while its time is not over. */
  async #stored(entry: Entry): Promise<CacheRecord | undefined> {
    try {
      const record = await this.#read(entry);
      const { options } = entry;
      return record !== undefined && Date.now() < record.expiresAt + (options.graceMs ?? 0) ? record : undefined;
    } catch (error) {
      if (isUnreadable(error)) this.#counters.unreadable++;
      return this.#report(error);
    }
  }

  /** Throws E_BAD_SIGNATURE for what nobody with a key has stored. */
  async #read({ key, options }: Entry): Promise<CacheRecord | undefined> {
    const stored = await this.#bento.get({ key, ...lifeOf(options) });
    if (this.#signed === false || (stored ?? undefined) === undefined) return readRecord(stored);
    return recordOf(this.#serializer.unseal(stored, this.#signed.purpose), key);
  }

  async #store({ key, options }: Entry, record: CacheRecord): Promise<void> {
    const value = this.#signed ? this.#serializer.seal(labelled(key, record), this.#signed.purpose) : record;
    await this.#bento.set({ key, value, ...lifeOf(options) }).catch(this.#report);
  }

  #count({ expiresAt }: CacheRecord, entry: Entry): void {
    if (Date.now() < expiresAt) {
      this.#counters.hits++;
    } else {
      this.#counters.stale++;
      this.#maker.refresh(entry);
    }
  }

  /** A value that its receiver may change; read twice, the first time, to see whether it is anybody else's. */
  async #plain(record: CacheRecord, entry: Entry): Promise<{ value: unknown }> {
    this.#isShared ??= (await this.#read(entry)) === record;
    return { value: this.#isShared ? structuredClone(record.plain) : record.plain };
  }

  /** Undefined where the value must be made again. */
  async #revive(record: CacheRecord, em?: EntityManager, isLast = false): Promise<{ value: unknown } | undefined> {
    if (record.plain !== undefined) return { value: structuredClone(record.plain) };
    try {
      // A cached entity is always that of now, whatever the version it was cached with.
      const options = { missing: 'throw', drift: 'ignore', signed: false, ...(em !== undefined && { em }) } as const;
      return { value: await this.#serializer.decode(record.payload as unknown as Encoded<unknown>, options) };
    } catch (error) {
      if (isLast || !isUnreadable(error)) throw error;
      this.#counters.unreadable++;
      return undefined;
    }
  }

  /** A value as of now: a row that is deleted between its factory and its revival makes it run once more. */
  async #make(entry: Entry): Promise<unknown> {
    const { em } = entry.options;
    const first = await this.#revive(await this.#maker.current(entry), em);
    return (first ?? (await this.#revive(await this.#maker.current(entry), em, true)))!.value;
  }
}

/** The grace period is judged here; bentocache is to keep the value for all of it. */
function lifeOf({ ttlMs, graceMs = 0 }: GetOrSetOptions<unknown>): { ttl: number; grace: number } {
  return { ttl: ttlMs + graceMs, grace: ttlMs + graceMs };
}

function warn(error: unknown): void {
  process.emitWarning(`A cached value could not be refreshed or stored: ${reportOf(error)}`, 'ByReferenceWarning');
}
