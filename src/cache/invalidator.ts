import type { AnyEntity, EntityManager, EventArgs, FlushEventArgs, TransactionEventArgs } from '@mikro-orm/core';
import type { ModelRegistry } from '../models/model-registry.ts';
import type { EntityClass } from '../orm/entity-class.ts';
import { entitiesOfWrittenCollections } from '../orm/identity-map.ts';
import type { End } from '../orm/commit-error.ts';
import { parentOf } from '../orm/transaction.ts';
import { type ChangeKind, FlushWatcher } from '../transactions/flush-watcher.ts';
import type { LogicalClock } from './logical-clock.ts';
import { modelTags, rowTag, type Tag } from './tags.ts';

/** Invalidates tags; never rejects. */
type Invalidate = (tags: ReadonlySet<Tag>) => Promise<void>;

/** Invalidates what flushes have written, once the outermost transaction has committed, or may have. */
export class Invalidator extends FlushWatcher<readonly Tag[]> {
  readonly #registry: ModelRegistry;
  readonly #clock: LogicalClock;
  readonly #invalidate: Invalidate;
  /** By the EntityManager that is about to open a transaction, and then by the transaction. */
  readonly #openingAt = new WeakMap<EntityManager, number>();
  readonly #begunAt = new WeakMap<object, number>();
  /** What the collections of a flush under way link. */
  readonly #linked = new WeakMap<EntityManager, readonly AnyEntity[]>();

  constructor(registry: ModelRegistry, clock: LogicalClock, invalidate: Invalidate) {
    super();
    this.#registry = registry;
    this.#clock = clock;
    this.#invalidate = invalidate;
  }

  /** An instant before which a transaction can have read nothing; undefined for one that is not watched. */
  begunAt(transaction: object): number | undefined {
    return this.#begunAt.get(transaction);
  }

  override async beforeTransactionStart(args: TransactionEventArgs): Promise<void> {
    await super.beforeTransactionStart(args);
    if (args.transaction === undefined) this.#openingAt.set(args.em, this.#clock.now());
  }

  /** A savepoint may have read what its outermost transaction has. */
  override async afterTransactionStart(args: TransactionEventArgs): Promise<void> {
    await super.afterTransactionStart(args);
    const transaction = args.transaction!;
    const parent = parentOf(transaction);
    const begunAt = parent === undefined ? this.#openingAt.get(args.em) : this.begunAt(parent);
    if (begunAt !== undefined) this.#begunAt.set(transaction, begunAt);
  }

  afterUpsert({ entity, em }: EventArgs<AnyEntity>): Promise<void> {
    return this.note(this.itemOf('update', entity), em);
  }

  /** Pivot rows are no entities; those on both sides are what has changed. */
  async onFlush({ em }: FlushEventArgs): Promise<void> {
    this.#linked.set(em, [...entitiesOfWrittenCollections(em)]);
  }

  async afterFlush({ em }: FlushEventArgs): Promise<void> {
    for (const entity of this.#linked.get(em) ?? []) await this.note(this.itemOf('update', entity), em);
    this.#linked.delete(em);
  }

  /** Nothing that is cached can hold a row that was not committed yet. */
  protected override itemOf(change: ChangeKind, entity: AnyEntity): readonly Tag[] | undefined {
    const model = this.#registry.modelOf(entity.constructor);
    if (model === undefined) return undefined;
    const row = change === 'create' ? undefined : rowTag(this.#registry, entity);
    // A reference of the base class may stand for a row of any subclass. Rows first: the last are kept longest.
    return [...(row === undefined ? [] : [row]), ...modelTags(this.#registry, [entity.constructor as EntityClass])];
  }

  /** What may have been committed is stale as well. */
  protected override async settled(list: readonly (readonly Tag[])[], end: End): Promise<void> {
    if (end !== 'rolled back') await this.#invalidate(new Set(list.flat()));
  }

  protected override committed(tags: readonly Tag[]): Promise<void> {
    return this.#invalidate(new Set(tags));
  }
}
