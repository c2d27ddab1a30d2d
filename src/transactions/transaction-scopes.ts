import type { EntityManager, EventSubscriber, TransactionEventArgs } from '@mikro-orm/core';
import type { End } from '../orm/commit-error.ts';
import { isCommitting, onEnd } from '../orm/transaction-end.ts';
import { isPartOf, isSavepoint, markEnded, outermost, parentOf, requireBegun, setParent } from '../orm/transaction.ts';

interface Entry<Item> {
  /** The transaction or savepoint that it was added in. */
  readonly scope: object;
  readonly item: Item;
}

/**
 * Keeps items until the outermost transaction ends. A savepoint that is rolled back takes its own along; one that is
 * not has the end of what is around it, whether or not anybody tells of its release. Each item is settled once.
 *
 * `em.transactional` copies the list of subscribers, so it must be on the ORM before.
 */
export abstract class TransactionScopes<Item> implements EventSubscriber {
  /** By outermost transaction, in the order in which they came. */
  readonly #entries = new WeakMap<object, Entry<Item>[]>();
  readonly #watched = new WeakSet<object>();
  /** The transaction in which an EntityManager is about to open a savepoint. */
  readonly #opening = new WeakMap<EntityManager, object>();

  add(transaction: object, item: Item): void {
    this.#watch(transaction);
    const root = outermost(transaction);
    const entries = this.#entries.get(root) ?? [];
    entries.push({ scope: transaction, item });
    this.#entries.set(root, entries);
  }

  async beforeTransactionStart({ em, transaction }: TransactionEventArgs): Promise<void> {
    if (transaction === undefined) this.#opening.delete(em);
    else this.#opening.set(em, transaction);
  }

  async afterTransactionStart({ em, transaction }: TransactionEventArgs): Promise<void> {
    await requireBegun(transaction!);
    const parent = this.#opening.get(em);
    if (isSavepoint(transaction) && parent !== undefined) setParent(transaction!, parent);
    this.#watch(transaction!);
  }

  /** Comes for savepoints too, not with every driver. Of an outermost transaction its own end is told, by then. */
  async afterTransactionCommit({ transaction }: TransactionEventArgs): Promise<void> {
    markEnded(transaction!);
    // It began before this listener: too early is better than never.
    if (isSavepoint(outermost(transaction!))) await this.#settle(transaction!, 'committed', undefined);
  }

  /** What is left here was never committed. The event after the rollback doesn't come where the connection is cut. */
  async beforeTransactionRollback({ transaction }: TransactionEventArgs): Promise<void> {
    if (isCommitting(transaction!)) return;
    markEnded(transaction!);
    await this.#settle(transaction!, 'rolled back', undefined);
  }

  /** Told once of each item, with those that end together; `error` is what COMMIT failed with. */
  protected async settled(_items: readonly Item[], _end: End, _error: unknown): Promise<void> {}

  /** The items of an outermost transaction that is about to commit; none of a savepoint. */
  protected itemsOf(transaction: object): readonly Item[] {
    return (this.#entries.get(transaction) ?? []).map(({ item }) => item);
  }

  /** Takes them: no end is told of them. */
  protected take(transaction: object): readonly Item[] {
    const items = this.itemsOf(transaction);
    this.#entries.delete(transaction);
    return items;
  }

  /** With all that it is in, any of which may roll back: MikroORM 6 has no events of savepoints. */
  #watch(transaction: object): void {
    if (this.#watched.has(transaction)) return;
    this.#watched.add(transaction);
    onEnd(transaction, (end, error) => this.#settle(transaction, end, error));
    const parent = parentOf(transaction);
    if (parent !== undefined) this.#watch(parent);
  }

  async #settle(transaction: object, end: End, error: unknown): Promise<void> {
    const root = outermost(transaction);
    const entries = this.#entries.get(root) ?? [];
    const isOver = ({ scope }: Entry<Item>): boolean => isPartOf(scope, transaction);
    const over = entries.filter(isOver);
    if (over.length === 0) return;
    this.#entries.set(
      root,
      entries.filter((entry) => !isOver(entry)),
    );
    await this.settled(
      over.map(({ item }) => item),
      end,
      error,
    );
  }
}
