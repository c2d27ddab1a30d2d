import type { EntityManager, MikroORM } from '@mikro-orm/core';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import type { Model } from '../models/model-registry.ts';
import { ambientContext, contextOf, isOf } from '../orm/context.ts';
import type { EntityType } from '../orm/entity-class.ts';
import { findKeys } from '../orm/find.ts';
import { isQueryable } from '../orm/metadata.ts';
import { subscribe } from '../orm/subscribers.ts';
import { transactionOf } from '../orm/transaction.ts';
import type { BentoCacheLike } from './bento-like.ts';
import { BusCheck } from './bus-check.ts';
import { Invalidator } from './invalidator.ts';
import { TagStamps } from './tag-stamps.ts';
import { modelTag, rowTag, type Tag } from './tags.ts';
import type { Stamps } from './witness.ts';

/** Longer than this no commit waits for the cache's store to hear of it. */
const COMMIT_WAITS_MS = 1_000;

/** Told of what goes wrong behind the back of a caller. */
export type Report = (error: unknown) => undefined;

/** What makes values stale: commits and `touch`, here and in other processes. */
export class Invalidation {
  readonly #serializer: EntitySerializer;
  readonly stamps: TagStamps;
  readonly #busCheck: BusCheck;
  readonly #invalidator: Invalidator;
  readonly #report: Report;

  constructor(
    serializer: EntitySerializer,
    bento: BentoCacheLike,
    options: { readonly report: Report; readonly singleProcess: boolean },
  ) {
    this.#serializer = serializer;
    this.#report = options.report;
    this.stamps = new TagStamps(bento);
    this.#busCheck = new BusCheck(bento, !options.singleProcess);
    this.#invalidator = new Invalidator(serializer.registry, {
      place: () => this.stamps.place,
      open: (tags) => this.#inTime(this.stamps.open(tags)),
      close: (tags) => this.#tell(this.stamps.close(tags)),
    });
    for (const orm of serializer.orms) subscribe(orm, this.#invalidator);
  }

  /** How many sightings of stamps there were before a transaction began; undefined for one that is not watched. */
  begunAt(transaction: object): number | undefined {
    return this.#invalidator.begunAt(transaction);
  }

  /** Whether something was invalidated since the stamps were these; true where nobody can tell. */
  async isStale(stamps: Stamps): Promise<boolean> {
    try {
      const tags = Object.keys(stamps);
      if (tags.length === 1) return (await this.stamps.read(tags[0]!)) !== stamps[tags[0]!];
      const current = await Promise.all(tags.map((tag) => this.stamps.read(tag)));
      return current.some((stamp, index) => stamp !== stamps[tags[index]!]);
    } catch (error) {
      this.#report(error);
      return true;
    }
  }

  async touch(type: EntityType, where: object, em: EntityManager | undefined): Promise<void> {
    const models = [...this.#serializer.registry.admittedBy([type], 'model')];
    if (em !== undefined && !models.some(({ orm }) => isOf(em, orm))) {
      throw ByReferenceError.invalidOption('option em', `an EntityManager of the ORM of ${models[0]!.name}`, em);
    }
    for (const orm of this.#serializer.orms) {
      const own = models.filter((model) => model.orm === orm);
      const context = em !== undefined && isOf(em, orm) ? contextOf(em) : ambientContext(orm.em);
      if (own.length > 0) await this.#touch(own, type, where, context, orm);
    }
  }

  async #touch(
    models: readonly Model[],
    type: EntityType,
    where: object,
    context: EntityManager | undefined,
    orm: MikroORM,
  ): Promise<void> {
    const { registry } = this.#serializer;
    const queryable = models.filter(({ metadata }) => isQueryable(metadata));
    const own = queryable.filter((model) => model.class === registry.classOf(type));
    const tags = new Set<Tag>();
    for (const { metadata } of own.length > 0 ? own : queryable) {
      for (const row of await findKeys(context ?? orm.em.fork(), metadata, where)) {
        const tag = rowTag(registry, row);
        if (tag !== undefined) tags.add(tag);
      }
    }
    // The last are kept longest, where a store is too small for all.
    for (const model of models) tags.add(modelTag(model));
    const transaction = context && transactionOf(context);
    if (transaction === undefined) await this.#tell(this.stamps.close(tags));
    else this.#invalidator.add(transaction, [...tags]);
  }

  async #tell(told: Promise<void>): Promise<void> {
    await this.#inTime(told.then(() => this.#busCheck.check(this.stamps.levels)));
  }

  /** Whether the store has heard of it, which no commit waits for longer than a while. */
  async #inTime(told: Promise<void>): Promise<boolean> {
    const waiting = new AbortController();
    const waited = sleep(COMMIT_WAITS_MS, false, { ref: false, signal: waiting.signal }).catch(() => false);
    const heard = told.then(
      () => true,
      (error: unknown) => {
        this.#report(error);
        return false;
      },
    );
    const isInTime = await Promise.race([heard, waited]);
    waiting.abort();
    return isInTime;
  }
}
