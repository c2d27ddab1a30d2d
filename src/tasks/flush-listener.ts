import type { AnyEntity, EntityManager, EventArgs, EventSubscriber, TransactionEventArgs } from '@mikro-orm/core';
import type { EntitySerializer } from '../entity-serializer.ts';
import { rowBody } from '../entity-reference.ts';
import type { Model } from '../model-registry.ts';
import type { EntityClass } from '../options.ts';
import { transactionOf } from '../orm.ts';
import { EntityToken } from '../token.ts';
import { TransactionScopes } from '../transaction-scopes.ts';
import type { Change } from './task.ts';

/** Told of the changes of a transaction, once, before it commits. */
type OnChanges = (changes: readonly Change<never>[], em: EntityManager) => Promise<void>;

/** Watches what flushes write of some classes. Throws E_INVALID_OPTION for a class that the ORM does not know. */
export function watchChanges(
  serializer: EntitySerializer,
  classes: readonly EntityClass[],
  onChanges: OnChanges,
): void {
  const models = serializer.registry.admittedBy(classes);
  const listener = new FlushListener(serializer, models, onChanges);
  serializer.orm.em.getEventManager().registerSubscriber(listener);
}

class FlushListener extends TransactionScopes<Change> implements EventSubscriber {
  readonly #serializer: EntitySerializer;
  readonly #models: ReadonlySet<Model>;
  readonly #onChanges: OnChanges;

  constructor(serializer: EntitySerializer, models: ReadonlySet<Model>, onChanges: OnChanges) {
    super();
    this.#serializer = serializer;
    this.#models = models;
    this.#onChanges = onChanges;
  }

  afterCreate(args: EventArgs<AnyEntity>): Promise<void> {
    return this.#note('create', args);
  }

  afterUpdate(args: EventArgs<AnyEntity>): Promise<void> {
    return this.#note('update', args);
  }

  /** Afterwards the entity has no key any more. */
  beforeDelete(args: EventArgs<AnyEntity>): Promise<void> {
    return this.#note('delete', args);
  }

  async beforeTransactionCommit({ em, transaction }: TransactionEventArgs): Promise<void> {
    const changes = merged(this.release(transaction!));
    if (changes.length > 0) await this.#onChanges(changes as Change<never>[], em);
  }

  async #note(change: Change['change'], { entity, em }: EventArgs<AnyEntity>): Promise<void> {
    const model = this.#serializer.registry.modelOf(entity.constructor);
    if (model === undefined || !this.#models.has(model)) return;
    const token = EntityToken.fromBody(rowBody(entity, model));
    const noted: Change = { change, token, entity: change === 'delete' ? null : entity };
    const transaction = transactionOf(em);
    // Without a transaction (implicitTransactions: false) each statement is committed at once.
    if (transaction === undefined) await this.#onChanges([noted as Change<never>], em);
    else this.add(transaction, noted);
  }
}

/** One change per row: what the transaction did to it in all. */
function merged(changes: readonly Change[]): readonly Change[] {
  const rows = new Map<string, Change>();
  for (const change of changes) {
    const row = change.token.toString();
    const before = rows.get(row)?.change;
    if (before === 'create' && change.change === 'delete') rows.delete(row);
    else rows.set(row, { ...change, change: inAll(before, change.change) });
  }
  return [...rows.values()];
}

/** Deleted and made again is an update. */
function inAll(before: Change['change'] | undefined, after: Change['change']): Change['change'] {
  if (before === undefined || after === 'delete') return after;
  return before === 'delete' ? 'update' : before;
}
