import type { AnyEntity, EntityManager, EventArgs, FlushEventArgs, TransactionEventArgs } from '@mikro-orm/core';
import type { ModelRegistry } from '../models/model-registry.ts';
import type { EntityClass } from '../orm/entity-class.ts';
import { entitiesOfWrittenCollections } from '../orm/identity-map.ts';
import type { End } from '../orm/commit-error.ts';
import { parentOf } from '../orm/transaction.ts';
import { type ChangeKind, FlushWatcher } from '../transactions/flush-watcher.ts';
import { modelTags, rowTag, type Tag } from './tags.ts';

/** What invalidates tags. Nothing of it rejects. */
export interface Invalidations {
  /** How many sightings of stamps there were. */
  place(): number;
  /** Before a commit; resolves with whether all that go by it can know. */
  open(tags: ReadonlySet<Tag>): Promise<boolean>;
  /** For what is changed; ends what was opened. */
  close(tags: ReadonlySet<Tag>): Promise<void>;
}

/**
 * Invalidates what flushes have written: opens it before the outermost transaction commits, so that a process that dies
 * in between leaves nothing stale, and closes it afterwards.
 */
export class Invalidator extends FlushWatcher<readonly Tag[]> {
  readonly #registry: ModelRegistry;
  readonly #invalidations: Invalidations;
  /** By the EntityManager that is about to open a transaction, and then by the transaction. */
  readonly #openingAt = new WeakMap<EntityManager, number>();
  readonly #begunAt = new WeakMap<object, number>();
  /** What the collections of a flush under way link. */
  readonly #linked = new WeakMap<EntityManager, readonly AnyEntity[]>();
  /** The lists of tags that were opened, and whether that is certain. */
  readonly #opened = new WeakMap<readonly Tag[], boolean>();

  constructor(registry: ModelRegistry, invalidations: Invalidations) {
    super();
    this.#registry = registry;
    this.#invalidations = invalidations;
  }

  /** How many sightings of stamps there were before a transaction began; undefined for one that is not watched. */
  begunAt(transaction: object): number | undefined {
    return this.#begunAt.get(transaction);
  }

  override async beforeTransactionStart(args: TransactionEventArgs): Promise<void> {
    await super.beforeTransactionStart(args);
    if (args.transaction === undefined) this.#openingAt.set(args.em, this.#invalidations.place());
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

  async beforeTransactionCommit({ transaction }: TransactionEventArgs): Promise<void> {
    const lists = this.itemsOf(transaction!);
    if (lists.length === 0) return;
    for (const tags of lists) this.#opened.set(tags, false);
    const isCertain = await this.#invalidations.open(new Set(lists.flat()));
    for (const tags of lists) this.#opened.set(tags, isCertain);
  }

  /**
   * What was opened stays so where nobody can tell whether it was committed: the server may do it later. Where COMMIT
   * was refused it is closed all the same, as the stamps of before must not come back.
   */
  protected override async settled(lists: readonly (readonly Tag[])[], end: End): Promise<void> {
    const tags = new Set(lists.flat());
    const opened = lists.map((list) => this.#opened.get(list));
    const isOpen = opened.every((isCertain) => isCertain === true);
    if (end === 'rolled back' && opened.every((isCertain) => isCertain === undefined)) return;
    if (!isOpen || end !== 'unknown') await this.#invalidations.close(tags);
  }

  protected override committed(tags: readonly Tag[]): Promise<void> {
    return this.#invalidations.close(new Set(tags));
  }
}
