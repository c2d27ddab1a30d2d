import type { EntityManager, EventSubscriber, TransactionEventArgs } from '@mikro-orm/core';
import { isSavepoint, knownParentOf, onSavepointEnd } from '../orm/transaction.ts';

/**
 * Keeps items for each open transaction and savepoint: a savepoint that is released hands its items up, one that is
 * rolled back drops them. `em.transactional` copies the list of listeners, so it must be on the ORM before.
 */
export abstract class TransactionScopes<Item> implements EventSubscriber {
  readonly #items = new WeakMap<object, Item[]>();
  readonly #parents = new WeakMap<object, object>();
  /** The transaction in which an EntityManager is about to open a savepoint. */
  readonly #opening = new WeakMap<EntityManager, object>();

  add(transaction: object, item: Item): void {
    const items = this.#items.get(transaction);
    if (items !== undefined) {
      items.push(item);
      return;
    }
    this.#items.set(transaction, [item]);
    onSavepointEnd(transaction, (parent) => {
      if (parent === undefined) this.#drop(transaction);
      else this.#handUp(transaction, parent);
    });
  }

  /** Whether a transaction is a savepoint, however deep, of another one. One of an unknown parent may be. */
  isWithin(inner: object, outer: object): boolean {
    const parent = this.parentOf(inner);
    if (parent === undefined) return isSavepoint(inner);
    return parent === outer || this.isWithin(parent, outer);
  }

  async beforeTransactionStart({ em, transaction }: TransactionEventArgs): Promise<void> {
    if (transaction === undefined) this.#opening.delete(em);
    else this.#opening.set(em, transaction);
  }

  async afterTransactionStart({ em, transaction }: TransactionEventArgs): Promise<void> {
    const parent = this.#opening.get(em);
    if (isSavepoint(transaction) && parent !== undefined) this.#parents.set(transaction!, parent);
  }

  async afterTransactionRollback({ transaction }: TransactionEventArgs): Promise<void> {
    this.#drop(transaction!);
  }

  /** The transaction that a savepoint is in; undefined for an outermost one. */
  protected parentOf(transaction: object): object | undefined {
    return this.#parents.get(transaction) ?? knownParentOf(transaction);
  }

  /** Told of each item whose transaction rolls back. */
  protected dropped(_item: Item): void {}

  /** The items of an outermost transaction that commits; those of a savepoint go up, and none are returned. */
  protected release(transaction: object): readonly Item[] {
    const parent = this.parentOf(transaction);
    if (parent === undefined) return this.#take(transaction);
    this.#handUp(transaction, parent);
    return [];
  }

  #handUp(transaction: object, parent: object): void {
    for (const item of this.#take(transaction)) this.add(parent, item);
  }

  #drop(transaction: object): void {
    for (const item of this.#take(transaction)) this.dropped(item);
  }

  #take(transaction: object): readonly Item[] {
    const items = this.#items.get(transaction) ?? [];
    this.#items.delete(transaction);
    return items;
  }
}
