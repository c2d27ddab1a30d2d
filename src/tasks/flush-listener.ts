import type { AnyEntity, EntityManager, TransactionEventArgs } from '@mikro-orm/core';
import type { EntitySerializer } from '../entity-serializer.ts';
import { rowBody } from '../models/entity-reference.ts';
import type { Model } from '../models/model-registry.ts';
import type { EntityType } from '../orm/entity-class.ts';
import { subscribe } from '../orm/subscribers.ts';
import { type ChangeKind, FlushWatcher } from '../transactions/flush-watcher.ts';
import { EntityToken } from '../wire/token.ts';
import type { Change } from './task.ts';

/** Told of the changes of a transaction, once, before it commits. */
type OnChanges = (changes: readonly Change<never>[], em: EntityManager) => Promise<void>;

/** Watches what flushes write of some classes. Throws E_INVALID_OPTION for a class that the ORM does not know. */
export function watchChanges(serializer: EntitySerializer, classes: readonly EntityType[], onChanges: OnChanges): void {
  const models = serializer.registry.admittedBy(classes);
  const listener = new FlushListener(serializer, models, onChanges);
  for (const orm of serializer.orms) subscribe(orm, listener);
}

class FlushListener extends FlushWatcher<Change> {
  readonly #serializer: EntitySerializer;
  readonly #models: ReadonlySet<Model>;
  readonly #onChanges: OnChanges;

  constructor(serializer: EntitySerializer, models: ReadonlySet<Model>, onChanges: OnChanges) {
    super();
    this.#serializer = serializer;
    this.#models = models;
    this.#onChanges = onChanges;
  }

  async beforeTransactionCommit({ em, transaction }: TransactionEventArgs): Promise<void> {
    const changes = merged(this.take(transaction!));
    if (changes.length > 0) await this.#onChanges(changes as Change<never>[], em);
  }

  protected override itemOf(change: ChangeKind, entity: AnyEntity): Change | undefined {
    const model = this.#serializer.registry.modelOf(entity.constructor);
    if (model === undefined || !this.#models.has(model)) return undefined;
    const token = EntityToken.fromBody(rowBody(entity, model));
    return { change, token, entity: change === 'delete' ? null : entity };
  }

  protected override committed(change: Change, em: EntityManager): Promise<void> {
    return this.#onChanges([change as Change<never>], em);
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
