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
import { afterCommit } from '../transactions/after-commit.ts';
import type { BentoCacheLike } from './bento-like.ts';
import { BusCheck } from './bus-check.ts';
import { stampKey } from './cache-key.ts';
import { Invalidator } from './invalidator.ts';
import type { LogicalClock } from './logical-clock.ts';
import type { CacheRecord } from './record.ts';
import { TagStamps } from './tag-stamps.ts';
import { modelTag, rowTag, type Tag } from './tags.ts';

/** Longer than this no commit waits for the cache's store to hear of it. */
const COMMIT_WAITS_MS = 1_000;

/** Told of what goes wrong behind the back of a caller. */
export type Report = (error: unknown) => undefined;

/** What makes values stale: commits and `touch`, here and in other processes. */
export class Invalidation {
  readonly #serializer: EntitySerializer;
  readonly #stamps: TagStamps;
  readonly #busCheck: BusCheck;
  readonly #invalidator: Invalidator;
  readonly #report: Report;

  constructor(
    serializer: EntitySerializer,
    bento: BentoCacheLike,
    clock: LogicalClock,
    options: { readonly report: Report; readonly singleProcess: boolean },
  ) {
    this.#serializer = serializer;
    this.#report = options.report;
    this.#stamps = new TagStamps(bento, clock);
    this.#busCheck = new BusCheck(bento, !options.singleProcess);
    this.#invalidator = new Invalidator(serializer.registry, clock, (tags) => this.#invalidate(tags));
    for (const orm of serializer.orms) subscribe(orm, this.#invalidator);
  }

  /** An instant before which a transaction can have read nothing; undefined for one that is not watched. */
  begunAt(transaction: object): number | undefined {
    return this.#invalidator.begunAt(transaction);
  }

  /** Whether a value may lack something that was committed since its factory began; true where nobody can tell. */
  async isStale({ tags = [], startedAt }: CacheRecord): Promise<boolean> {
    try {
      return await this.#stamps.isInvalidated(tags, startedAt);
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
    const invalidate = (): Promise<void> => this.#invalidate(tags);
    if (context === undefined || transactionOf(context) === undefined) await invalidate();
    else afterCommit(context, invalidate, { onError: this.#report, onUnknown: invalidate });
  }

  async #invalidate(tags: ReadonlySet<Tag>): Promise<void> {
    const last = [...tags].at(-1)!;
    const told = this.#stamps
      .invalidate(tags)
      .then(() => this.#busCheck.check(stampKey(last), (key) => this.#stamps.read(key)))
      .catch(this.#report);
    const waiting = new AbortController();
    const waited = sleep(COMMIT_WAITS_MS, undefined, { ref: false, signal: waiting.signal }).catch(() => undefined);
    await Promise.race([told, waited]);
    waiting.abort();
  }
}
