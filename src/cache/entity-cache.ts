import type { EntityManager, FilterQuery } from '@mikro-orm/core';
import type { EntitySerializer } from '../entity-serializer.ts';
import { hasMethod, requireSerializer } from '../check.ts';
import { ByReferenceError } from '../errors.ts';
import { notify } from '../notify.ts';
import type { Signed } from '../options.ts';
import type { EntityOf, EntityType } from '../orm/entity-class.ts';
import { reportOf } from '../orm/orm-error.ts';
import type { Encoded, Revived } from '../types.ts';
import type { BentoCacheLike } from './bento-like.ts';
import { type CacheOperation, isTraced, tell, traced } from './diagnostics.ts';
import { Entries, type Place } from './entries.ts';
import { Invalidation, type Report } from './invalidation.ts';
import { type Entry, Maker } from './maker.ts';
import {
  type CacheStats,
  checkCacheOptions,
  checkGetOrSetOptions,
  checkScoped,
  type Counters,
  type EntityCacheOptions,
  type GetOrSetOptions,
  type Scoped,
} from './options.ts';
import { type CacheRecord, isUnreadable, isWithin, labelled, readRecord, recordOf } from './record.ts';
import { COPY_MS } from './tag-stamps.ts';

/**
 * Values that were expensive to make, kept in bentocache with their entities as tokens: a hit has the current rows, and
 * what a commit has changed is not served any more.
 *
 * Build it at start: like the listener of `afterCommit`, the one that invalidates must be in place before a transaction
 * begins.
 */
export class EntityCache {
  readonly #serializer: EntitySerializer;
  readonly #bento: BentoCacheLike;
  readonly #entries: Entries;
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

  /**
   * `new EntityCache(serializer, bentocache)`.
   * @throws E_INVALID_OPTION.
   */
  constructor(serializer: EntitySerializer, bentocache: BentoCacheLike, options: EntityCacheOptions = {}) {
    requireSerializer(serializer);
    if (!hasMethod(bentocache, 'delete'))
      throw ByReferenceError.invalidOption('bentocache', 'a BentoCache', bentocache);
    checkCacheOptions(options);
    const { onError = warn, singleProcess = false, signed = serializer.signed } = options;
    if (signed) serializer.refuseWrongOptions({ signed });
    const report: Report = (error) => {
      notify(onError, error, warn);
    };
    const invalidation = new Invalidation(serializer, bentocache, { report, singleProcess });
    this.#serializer = serializer;
    this.#bento = bentocache;
    this.#entries = new Entries(serializer);
    this.#signed = signed;
    this.#report = report;
    this.#invalidation = invalidation;
    const store = (entry: Entry, record: CacheRecord): Promise<void> => this.#store(entry, record);
    this.#maker = new Maker({ serializer, invalidation, counters: this.#counters, report, store });
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
   * transaction commits; a row that is gone, or that has another version now, makes it a miss. In a transaction, what
   * is made is stored after the commit.
   * @throws what `factory` throws, what `serialize` and `deserialize` throw for its value, E_INVALID_OPTION.
   */
  async getOrSet<T>(options: GetOrSetOptions<T>): Promise<Revived<T>> {
    checkGetOrSetOptions(options);
    const { key, context } = this.#entries.place(options.key, options);
    const entry: Entry = { key, context, options };
    if (!isTraced()) return this.#getOrMake(entry) as Promise<Revived<T>>;
    return traced(key, (operation) => this.#getOrMake(entry, operation)) as Promise<Revived<T>>;
  }

  /**
   * The value under a key as a hit of `getOrSet` has it; undefined where there is none that is fresh, or its rows are
   * gone.
   * @throws what `dedupeKey` throws for the key or the scope, and E_INVALID_OPTION.
   */
  async get<T = unknown>(key: unknown, options: Scoped = {}): Promise<Revived<T> | undefined> {
    checkScoped(key, options);
    const place = this.#entries.place(key, options);
    const record = await this.#current(place);
    const revived = record && (await this.#serve(record, place, options.em));
    this.#counters[revived === undefined ? 'misses' : 'hits']++;
    return revived?.value as Revived<T> | undefined;
  }

  /**
   * Whether a value is kept under a key that is fresh. Its rows are not read, and may be gone.
   * @throws what `dedupeKey` throws for the key, and E_INVALID_OPTION.
   */
  async has(key: unknown, options: Scoped = {}): Promise<boolean> {
    checkScoped(key, options);
    return (await this.#current(this.#entries.place(key, options))) !== undefined;
  }

  /**
   * Forgets the value under a key, here and in the second level; one that is being made is not stored. A failure of the
   * store passes through as it is.
   * @throws what `dedupeKey` throws for the key, and E_INVALID_OPTION.
   */
  async delete(key: unknown, options: Scoped = {}): Promise<void> {
    checkScoped(key, options);
    const place = this.#entries.place(key, options);
    this.#maker.drop(place.key);
    await this.#bento.delete({ key: place.key });
  }

  /**
   * Makes stale what hangs on the model and on its rows that match, subclasses included: for what no flush has written,
   * such as nativeUpdate, raw SQL and cascades of the database. One query for the keys, hidden rows included. In a
   * transaction of `em` it happens after the commit.
   * @throws E_INVALID_OPTION.
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
   * memory.
   * @throws as `token`, and E_INVALID_OPTION where the model has no version property, or it is not loaded.
   */
  cacheKey(entity: object): string {
    const token = this.#serializer.token(entity, { versions: true });
    if (token.version === undefined) {
      const expected = 'a loaded entity of a model with a version property; name one with @ByReference({ version })';
      throw ByReferenceError.invalidOption('entity', expected, token.model);
    }
    return token.toString();
  }

  /** Nothing is awaited without need: a hit is a matter of microseconds. */
  async #getOrMake(entry: Entry, operation?: CacheOperation): Promise<unknown> {
    const { key, options } = entry;
    const record = await this.#stored(key, lifeOf(options));
    if (record !== undefined && isWithin(record, options.graceMs)) {
      const isStale = !isEmpty(record.stamps) && (await this.#invalidation.isStale(record.stamps));
      if (isStale) this.#counters.invalidated++;
      const revived = isStale ? undefined : await this.#serve(record, entry, options.em);
      if (revived !== undefined) {
        this.#count(record, entry);
        tell(operation, true, record.stamps);
        return revived.value;
      }
    }
    this.#counters.misses++;
    const made = await this.#make(record === undefined ? entry : { ...entry, hungOn: Object.keys(record.stamps) });
    tell(operation, false, made.record.stamps);
    return made.value;
  }

  /** What is stored, fresh and not invalidated. */
  async #current({ key }: Place): Promise<CacheRecord | undefined> {
    const record = await this.#stored(key, COPY);
    if (record === undefined || !isWithin(record)) return undefined;
    if (!(await this.#invalidation.isStale(record.stamps))) return record;
    this.#counters.invalidated++;
    return undefined;
  }

  async #stored(key: string, life: Life): Promise<CacheRecord | undefined> {
    try {
      const stored = await this.#bento.get({ key, ttl: life.ttl, grace: life.grace });
      if (this.#signed === false || (stored ?? undefined) === undefined) return readRecord(stored);
      return recordOf(this.#serializer.unseal(stored, this.#signed.purpose), key);
    } catch (error) {
      // E_BAD_SIGNATURE where nobody with a key has stored it.
      if (isUnreadable(error)) this.#counters.unreadable++;
      return this.#report(error);
    }
  }

  async #store({ key, options }: Entry, record: CacheRecord): Promise<void> {
    const value = this.#signed ? this.#serializer.seal(labelled(key, record), this.#signed.purpose) : record;
    await this.#bento.set({ key, value, ...lifeOf(options) }).catch(this.#report);
  }

  #count(record: CacheRecord, entry: Entry): void {
    if (isWithin(record)) {
      this.#counters.hits++;
    } else {
      this.#counters.stale++;
      this.#maker.refresh(entry);
    }
  }

  /** Undefined where the value must be made again. */
  #serve(
    record: CacheRecord,
    { key }: Place,
    em: EntityManager | undefined,
  ): { value: unknown } | Promise<{ value: unknown } | undefined> {
    // What was made of a row is as old as the version that the row had then.
    if (record.plain === undefined) return this.#revive(record, { drift: 'throw', em });
    return this.#isShared === undefined ? this.#firstPlain(record, key) : this.#plain(record);
  }

  /** Read twice, to see whether what the first level hands out is anybody else's. */
  async #firstPlain(record: CacheRecord, key: string): Promise<{ value: unknown }> {
    this.#isShared ??= (await this.#stored(key, COPY)) === record;
    return this.#plain(record);
  }

  /** A value that its receiver may change. */
  #plain({ plain }: CacheRecord): { value: unknown } {
    return { value: this.#isShared === true ? structuredClone(plain) : plain };
  }

  async #revive(
    record: CacheRecord,
    { em, drift }: { readonly em: EntityManager | undefined; readonly drift: 'throw' | 'ignore' },
    isLast = false,
  ): Promise<{ value: unknown } | undefined> {
    if (record.plain !== undefined) return { value: structuredClone(record.plain) };
    try {
      const options = { missing: 'throw', drift, signed: false, ...(em !== undefined && { em }) } as const;
      return { value: await this.#serializer.decode(record.payload as unknown as Encoded<unknown>, options) };
    } catch (error) {
      if (isLast || !isUnreadable(error)) throw error;
      this.#counters.unreadable++;
      return undefined;
    }
  }

  /** A value as of now: a row that is deleted between its factory and its revival makes it run once more. */
  async #make(entry: Entry): Promise<{ value: unknown; record: CacheRecord }> {
    const options = { drift: 'ignore', em: entry.options.em } as const;
    const first = await this.#maker.current(entry);
    const revived = await this.#revive(first, options);
    if (revived !== undefined) return { ...revived, record: first };
    const record = await this.#maker.current(entry);
    return { ...(await this.#revive(record, options, true))!, record };
  }
}

/** For what bentocache is asked for without the options that it was stored with: how long its copy is kept here. */
const COPY: Life = { ttl: COPY_MS, grace: false };

interface Life {
  readonly ttl: number | null;
  readonly grace: number | false;
}

/** The grace period is judged here; bentocache is to keep the value for all of it. */
function lifeOf({ ttlMs, graceMs = 0 }: GetOrSetOptions<unknown>): Life {
  if (ttlMs === null) return { ttl: null, grace: false };
  return { ttl: ttlMs + graceMs, grace: ttlMs + graceMs };
}

function isEmpty(object: object): boolean {
  for (const _ in object) return false;
  return true;
}

function warn(error: unknown): void {
  process.emitWarning(`A cached value could not be refreshed or stored: ${reportOf(error)}`, 'ByReferenceWarning');
}
