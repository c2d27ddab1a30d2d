import type { AnyEntity, EntityManager, EventArgs, FlushEventArgs, TransactionEventArgs } from '@mikro-orm/core';
import { type ChangeKind, FlushWatcher } from '../flush-watcher.ts';
import type { ModelRegistry } from '../model-registry.ts';
import { ownersOfWrittenCollections } from '../orm.ts';
import type { LogicalClock } from './logical-clock.ts';
import { modelTag, rowTag, type Tag } from './tags.ts';

/** Invalidates tags; never rejects. */
type Invalidate = (tags: ReadonlySet<Tag>) => Promise<void>;

/** Invalidates what flushes have written, once the outermost transaction has committed. */
export class Invalidator extends FlushWatcher<readonly Tag[]> {
  readonly #registry: ModelRegistry;
  readonly #clock: LogicalClock;
  readonly #invalidate: Invalidate;
  /** By the EntityManager that is about to open a transaction, and then by the transaction. */
  readonly #openingAt = new WeakMap<EntityManager, number>();
  readonly #begunAt = new WeakMap<object, number>();

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
    const parent = this.parentOf(transaction);
    const begunAt = parent === undefined ? this.#openingAt.get(args.em) : this.begunAt(parent);
    if (begunAt !== undefined) this.#begunAt.set(transaction, begunAt);
  }

  async afterTransactionCommit({ transaction }: TransactionEventArgs): Promise<void> {
    const tags = new Set(this.release(transaction!).flat());
    if (tags.size > 0) await this.#invalidate(tags);
  }

  afterUpsert({ entity, em }: EventArgs<AnyEntity>): Promise<void> {
    return this.note(this.itemOf('update', entity), em);
  }

  /** Pivot rows are no entities; the owner of the collection is what has changed. */
  async afterFlush({ em }: FlushEventArgs): Promise<void> {
    for (const owner of ownersOfWrittenCollections(em)) await this.note(this.itemOf('update', owner), em);
  }

  /** Nothing that is cached can hold a row that was not committed yet. */
  protected override itemOf(change: ChangeKind, entity: AnyEntity): readonly Tag[] | undefined {
    const model = this.#registry.modelOf(entity.constructor);
    if (model === undefined) return undefined;
    const row = change === 'create' ? undefined : rowTag(this.#registry, entity);
    return row === undefined ? [modelTag(model)] : [modelTag(model), row];
  }

  protected override committed(tags: readonly Tag[]): Promise<void> {
    return this.#invalidate(new Set(tags));
  }
}
