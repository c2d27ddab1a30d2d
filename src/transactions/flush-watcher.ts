import type { AnyEntity, EntityManager, EventArgs } from '@mikro-orm/core';
import { transactionOf } from '../orm/transaction.ts';
import { TransactionScopes } from './transaction-scopes.ts';

/** What a flush does to a row. */
export type ChangeKind = 'create' | 'update' | 'delete';

/** Notes what flushes write, for each transaction and savepoint. */
export abstract class FlushWatcher<Item> extends TransactionScopes<Item> {
  /** Made before the row is deleted: afterwards the entity has no key any more. */
  readonly #deleting = new WeakMap<AnyEntity, Item>();

  /** What is noted of a change; undefined for nothing. */
  protected abstract itemOf(change: ChangeKind, entity: AnyEntity): Item | undefined;

  /** Told of a change without a transaction (implicitTransactions: false), where each statement is committed at once. */
  protected abstract committed(item: Item, em: EntityManager): Promise<void>;

  afterCreate({ entity, em }: EventArgs<AnyEntity>): Promise<void> {
    return this.note(this.itemOf('create', entity), em);
  }

  afterUpdate({ entity, em }: EventArgs<AnyEntity>): Promise<void> {
    return this.note(this.itemOf('update', entity), em);
  }

  async beforeDelete({ entity }: EventArgs<AnyEntity>): Promise<void> {
    const item = this.itemOf('delete', entity);
    if (item !== undefined) this.#deleting.set(entity, item);
  }

  afterDelete({ entity, em }: EventArgs<AnyEntity>): Promise<void> {
    return this.note(this.#deleting.get(entity), em);
  }

  protected async note(item: Item | undefined, em: EntityManager): Promise<void> {
    if (item === undefined) return;
    const transaction = transactionOf(em);
    if (transaction === undefined) await this.committed(item, em);
    else this.add(transaction, item);
  }
}
