import type { AnyEntity, EntityManager, TransactionEventArgs } from '@mikro-orm/core';
import type { EntitySerializer } from '../entity-serializer.ts';
import { rowBody } from '../models/entity-reference.ts';
import type { Model } from '../models/model-registry.ts';
import { freshFork } from '../orm/context.ts';
import type { EntityType } from '../orm/entity-class.ts';
import { rowSchemaOf, stateOf } from '../orm/entity.ts';
import { referenceTo } from '../orm/find.ts';
import { subscribe } from '../orm/subscribers.ts';
import { type ChangeKind, FlushWatcher } from '../transactions/flush-watcher.ts';
import { EntityToken } from '../wire/token.ts';
import type { Change } from './task.ts';

/** Told of the changes of a transaction, once, before it commits. */
type OnChanges = (changes: readonly Change<never>[], em: EntityManager) => Promise<void>;

interface Watch {
  readonly serializer: EntitySerializer;
  readonly models: ReadonlySet<Model>;
  readonly onChanges: OnChanges;
}

/**
 * Watches what flushes write of some classes, until the function is called that it returns. Throws E_INVALID_OPTION for
 * a class that the ORM does not know.
 */
export function watchChanges(
  serializer: EntitySerializer,
  classes: readonly EntityType[],
  onChanges: OnChanges,
): () => void {
  const models = serializer.registry.admittedBy(classes);
  const listener = new FlushListener({ serializer, models, onChanges });
  for (const orm of serializer.orms) subscribe(orm, listener);
  return () => listener.end();
}

class FlushListener extends FlushWatcher<Change> {
  /** MikroORM can't forget a subscriber: one whose watch has ended keeps nothing of it. */
  #watch: Watch | undefined;

  constructor(watch: Watch) {
    super();
    this.#watch = watch;
  }

  end(): void {
    this.#watch = undefined;
  }

  async beforeTransactionCommit({ em, transaction }: TransactionEventArgs): Promise<void> {
    await this.#tell(merged(this.take(transaction!)), em);
  }

  protected override itemOf(change: ChangeKind, entity: AnyEntity): Change | undefined {
    const model = this.#watch?.serializer.registry.modelOf(entity.constructor);
    if (model === undefined || !this.#watch!.models.has(model)) return undefined;
    const token = EntityToken.fromBody(rowBody(entity, model));
    return { change, token, entity: change === 'delete' ? null : entity };
  }

  protected override committed(change: Change, em: EntityManager): Promise<void> {
    return this.#tell([change], em);
  }

  async #tell(changes: readonly Change[], em: EntityManager): Promise<void> {
    if (this.#watch === undefined || changes.length === 0) return;
    const { registry } = this.#watch.serializer;
    const storable = changes.map((change) => {
      const { entity } = change;
      if (entity === null || stateOf(entity) === 'stored') return change;
      return { ...change, entity: referenceBeside(entity, registry.modelOfOrFail(entity), em) };
    });
    await this.#watch.onChanges(storable as Change<never>[], em);
  }
}

/**
 * Another reference to the row of an entity. A subscriber that makes an update of a delete, as for soft deletes, leaves
 * the entity among those that are to be removed.
 */
function referenceBeside(entity: AnyEntity, { metadata, primaryKey }: Model, em: EntityManager): AnyEntity {
  const fork = freshFork(em, { inTransaction: true });
  return referenceTo(fork, metadata, primaryKey.databaseKeyOf(entity), rowSchemaOf(entity));
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
