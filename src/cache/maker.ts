import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ambientContext, freshFork, globalManagers, runInContext, runInRequest } from '../orm/context.ts';
import { transactionOf } from '../orm/transaction.ts';
import { afterCommit } from '../transactions/after-commit.ts';
import type { JsonObject, JsonValue } from '../wire/json.ts';
import { Flights } from './flights.ts';
import type { Invalidation, Report } from './invalidation.ts';
import type { LogicalClock } from './logical-clock.ts';
import type { Counters, GetOrSetOptions } from './options.ts';
import { type CacheRecord, writeRecord } from './record.ts';
import { modelTags, rowTag, type Tag } from './tags.ts';

/** A value to be found or made. */
export interface Entry {
  readonly key: string;
  readonly options: GetOrSetOptions<unknown>;
}

/** What a Maker works with. */
interface Workshop {
  readonly serializer: EntitySerializer;
  readonly clock: LogicalClock;
  readonly invalidation: Invalidation;
  readonly counters: Counters;
  readonly report: Report;
  /** Keeps a value; never rejects. */
  readonly store: (entry: Entry, record: CacheRecord) => Promise<void>;
}

/** Runs factories: one at a time per key, and in the background behind a stale value. */
export class Maker {
  readonly #workshop: Workshop;
  readonly #flights = new Flights();
  /** The keys that an async context is making values for. */
  readonly #making = new AsyncLocalStorage<ReadonlySet<string>>();

  constructor(workshop: Workshop) {
    this.#workshop = workshop;
  }

  /**
   * What a factory makes that began after this call, or what another makes of which nothing has been invalidated since
   * it began: of two in a row, the second began after.
   */
  async current(entry: Entry): Promise<CacheRecord> {
    const { clock, invalidation, store } = this.#workshop;
    const context = this.#managerFor(entry);
    const transaction = transactionOf(context);
    if (transaction !== undefined) return this.#currentIn(transaction, context, entry);
    const make = (): Promise<CacheRecord> => this.#makeAlone(entry, context);
    // Its own factory would wait for itself.
    if (this.#making.getStore()?.has(entry.key) === true) return make();
    const since = clock.now();
    for (;;) {
      const record = await this.#flights.join(entry.key, make, (made) => store(entry, made));
      if (record.startedAt > since || !(await invalidation.isStale(record))) return record;
    }
  }

  /** Makes the value again, unless that is under way; nobody waits for it. */
  refresh(entry: Entry): void {
    const { counters, report, store } = this.#workshop;
    if (this.#flights.has(entry.key)) return;
    const context = this.#managerFor(entry);
    this.#flights
      .join(
        entry.key,
        () => this.#makeAlone(entry, context),
        (record) => store(entry, record),
      )
      .then(
        () => counters.refreshes++,
        (error: unknown) => {
          counters.failedRefreshes++;
          report(error);
        },
      );
  }

  /** What is being made under the key is not stored. */
  drop(key: string): void {
    this.#flights.drop(key);
  }

  /** By EntityManagers that have nothing in memory: what a request has changed or read before is not for all. */
  #makeAlone(entry: Entry, context: EntityManager): Promise<CacheRecord> {
    const own = freshFork(context, { inTransaction: false });
    const others = globalManagers(this.#workshop.serializer).filter(({ name }) => name !== own.name);
    return runInRequest([own, ...others], (em) => this.#make(entry, em));
  }

  /** Nobody else may see what is not committed; and the transaction may read what was so when it began. */
  async #currentIn(transaction: object, em: EntityManager, entry: Entry): Promise<CacheRecord> {
    const begunAt = this.#workshop.invalidation.begunAt(transaction);
    const own = freshFork(em, { inTransaction: true });
    const managers = globalManagers(this.#workshop.serializer);
    const record = await runInRequest(managers, () => this.#make(entry, own, begunAt));
    // What may not have been committed is made anew.
    const onUnknown = (): void => {};
    if (begunAt !== undefined) afterCommit(em, () => this.#workshop.store(entry, record), { onUnknown });
    return record;
  }

  async #make(
    { key, options }: Entry,
    em: EntityManager,
    startedAt = this.#workshop.clock.now(),
  ): Promise<CacheRecord> {
    const { serializer, counters } = this.#workshop;
    const { registry } = serializer;
    const tags = new Set<Tag>(options.dependsOn && modelTags(registry, options.dependsOn));
    const addTag = (entity: AnyEntity): void => {
      const tag = rowTag(registry, entity);
      if (tag !== undefined) tags.add(tag);
    };
    counters.factoryCalls++;
    const making = new Set([...(this.#making.getStore() ?? []), key]);
    const value = await this.#making.run(making, () => runInContext(em, async () => options.factory(em)));
    const payload = serializer.encodeTelling(
      value,
      { sign: false },
      { entity: addTag, copy: addTag },
    ) as unknown as JsonObject;
    return writeRecord(payload as { data: JsonValue }, tags, { startedAt, expiresAt: Date.now() + options.ttlMs });
  }

  /** Whose schema, filters and transaction count. */
  #managerFor({ options: { em } }: Entry): EntityManager {
    const given = em ?? this.#workshop.serializer.orm.em;
    return ambientContext(given) ?? given;
  }
}
