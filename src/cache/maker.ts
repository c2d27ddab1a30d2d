import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { EntitySerializer } from '../entity-serializer.ts';
import { freshFork, globalManagers, runInContext, runInRequest } from '../orm/context.ts';
import { passResultCache } from '../orm/result-cache.ts';
import { transactionOf } from '../orm/transaction.ts';
import { afterCommit } from '../transactions/after-commit.ts';
import type { JsonObject, JsonValue } from '../wire/json.ts';
import type { Place } from './entries.ts';
import { Flights } from './flights.ts';
import type { Invalidation, Report } from './invalidation.ts';
import type { Counters, GetOrSetOptions } from './options.ts';
import { type CacheRecord, writeRecord } from './record.ts';
import { type FoundRow, foundRow, modelTags, type ModelTrees, modelTrees, type Tag } from './tags.ts';
import { Witness } from './witness.ts';

/** A value to be found or made. */
export interface Entry extends Place {
  readonly options: GetOrSetOptions<unknown>;
  /** What the value hung on when it was last found. */
  readonly hungOn?: Iterable<Tag>;
}

export interface Made {
  readonly record: CacheRecord;
  /** Whether nothing was invalidated, as far as is known, since the factory began. */
  readonly isSworn: boolean;
  /** The place of its factory's start among starts and calls. */
  readonly begunAt: number;
}

/** Keys of which it is remembered what the value hung on that could not be sworn to. */
const REMEMBERED = 1_000;

/** What a Maker works with. */
interface Workshop {
  readonly serializer: EntitySerializer;
  readonly invalidation: Invalidation;
  readonly counters: Counters;
  readonly report: Report;
  /** Keeps a value; never rejects. */
  readonly store: (entry: Entry, record: CacheRecord) => Promise<void>;
}

/** Runs factories: one at a time per key, and in the background behind a stale value. */
export class Maker {
  readonly #workshop: Workshop;
  readonly #flights = new Flights<Made>();
  /** The keys that an async context is making values for. */
  readonly #making = new AsyncLocalStorage<ReadonlySet<string>>();

  /** What unsworn values hung on: the next time it is read before. */
  readonly #hungOn = new Map<string, Iterable<Tag>>();
  readonly #trees: ModelTrees;
  #steps = 0;

  constructor(workshop: Workshop) {
    this.#workshop = workshop;
    this.#trees = modelTrees(workshop.serializer.registry);
  }

  /**
   * What a factory makes that began after this call, or what another makes of which nothing has been invalidated since
   * it began: of two in a row, the second began after.
   */
  async current(entry: Entry): Promise<CacheRecord> {
    const { invalidation } = this.#workshop;
    const transaction = transactionOf(entry.context);
    if (transaction !== undefined) return this.#currentIn(transaction, entry);
    // Its own factory would wait for itself.
    if (this.#making.getStore()?.has(entry.key) === true) return (await this.#makeAlone(entry)).record;
    const calledAt = ++this.#steps;
    for (;;) {
      const { record, isSworn, begunAt } = await this.#fly(entry);
      if (begunAt > calledAt || (isSworn && !(await invalidation.isStale(record.stamps)))) return record;
    }
  }

  /** Makes the value again, unless that is under way; nobody waits for it. */
  refresh(entry: Entry): void {
    const { counters, report } = this.#workshop;
    if (this.#flights.has(entry.key)) return;
    this.#fly(entry).then(
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

  #fly(entry: Entry): Promise<Made> {
    return this.#flights.join(
      entry.key,
      () => this.#makeAlone(entry),
      (made) => this.#store(entry, made),
    );
  }

  async #store(entry: Entry, { record, isSworn }: Made): Promise<void> {
    if (isSworn) await this.#workshop.store(entry, record);
  }

  /** By EntityManagers that have nothing in memory: what a request has changed or read before is not for all. */
  #makeAlone(entry: Entry): Promise<Made> {
    const { context } = entry;
    const others = globalManagers(this.#workshop.serializer).filter(({ name }) => name !== context.name);
    return runInRequest(pastResultCaches([context, ...others]), (em) => this.#make(entry, em));
  }

  /** Nobody else may see what is not committed; and the transaction may read what was so when it began. */
  async #currentIn(transaction: object, entry: Entry): Promise<CacheRecord> {
    const begunAt = this.#workshop.invalidation.begunAt(transaction);
    const own = passResultCache(freshFork(entry.context, { inTransaction: true }));
    const managers = pastResultCaches(globalManagers(this.#workshop.serializer));
    const made = await runInRequest(managers, () => this.#make(entry, own, begunAt));
    // What may not have been committed is made anew.
    const onUnknown = (): void => {};
    if (begunAt !== undefined) afterCommit(entry.context, () => this.#store(entry, made), { onUnknown });
    return made.record;
  }

  /** `place`: of the stamps that were seen before the transaction began, where there is one. */
  async #make({ key, options, hungOn }: Entry, em: EntityManager, place?: number): Promise<Made> {
    const { serializer, counters, invalidation, report } = this.#workshop;
    const { registry } = serializer;
    const tags = options.dependsOn === undefined ? [] : modelTags(registry, options.dependsOn);
    const remembered = this.#hungOn.get(key) ?? hungOn ?? [];
    const known = [...this.#trees.values(), [...remembered]].flat();
    const begunAt = ++this.#steps;
    // Where the store fails, nothing is sworn to.
    const witness = await Witness.of(invalidation.stamps, known).catch(report);
    const rows = new Map<Tag, FoundRow>();
    const addRow = (entity: AnyEntity): void => {
      const row = foundRow(registry, this.#trees, entity);
      if (row !== undefined) rows.set(row.tag, row);
    };
    counters.factoryCalls++;
    const making = new Set([...(this.#making.getStore() ?? []), key]);
    const value = await this.#making.run(making, () => runInContext(em, async () => options.factory(em)));
    const payload = serializer.encodeTelling(
      value,
      { sign: false, versions: true },
      { entity: addRow, copy: addRow },
    ) as unknown as JsonObject;
    const stamps = await witness?.swear(tags, [...rows.values()], place).catch(report);
    this.#remember(key, stamps === undefined ? rows.keys() : undefined);
    const expiresAt = options.ttlMs === null ? null : Date.now() + options.ttlMs;
    const record = writeRecord(payload as { data: JsonValue }, { expiresAt, stamps: stamps ?? {} });
    return { record, isSworn: stamps !== undefined, begunAt };
  }

  #remember(key: string, hungOn: Iterable<Tag> | undefined): void {
    this.#hungOn.delete(key);
    if (hungOn === undefined) return;
    this.#hungOn.set(key, [...hungOn]);
    if (this.#hungOn.size > REMEMBERED) this.#hungOn.delete(this.#hungOn.keys().next().value!);
  }
}

/** EntityManagers of their own, of which no query is answered by MikroORM's result cache. */
const pastResultCaches = (managers: readonly EntityManager[]): EntityManager[] =>
  managers.map((em) => passResultCache(freshFork(em, { inTransaction: false })));
