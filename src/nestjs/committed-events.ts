import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { type Check, check } from '../check.ts';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import { ambientContext, freshFork, isEntityManager, runInNewRequest } from '../orm/context.ts';
import { transactionFor } from '../tasks/transaction.ts';
import { afterCommit } from '../transactions/after-commit.ts';
import type { Revived } from '../types.ts';
import type { JsonObject } from '../wire/json.ts';

/** How an event is published. */
export interface PublishOptions {
  /**
   * Whose transaction the event is about.
   * @defaultValue that of the entities in the event, else the ambient one
   */
  readonly em?: EntityManager;
}

const PUBLISH_CHECKS: Record<keyof PublishOptions, Check> = { em: ['an EntityManager', isEntityManager] };

/**
 * Events that are published when the outermost transaction has committed, and never after a rollback, by whatever
 * publishes them: `@nestjs/event-emitter`, `@nestjs/cqrs`, a Subject.
 *
 * ```ts
 * events.publish({ order }, (event) => emitter.emit('order.paid', event));
 * events.publish(new OrderPaid(order), (event) => eventBus.publish(event));
 * ```
 */
export class CommittedEvents {
  readonly #serializer: EntitySerializer;

  /** What the module does, whose own can be injected. */
  constructor(serializer: EntitySerializer) {
    this.#serializer = serializer;
  }

  /**
   * Publishes an event after the commit; at once where there is no transaction. Its entities are the rows of then, in an
   * EntityManager and a request context of the handlers' own. An instance of a class comes back as one, with its own
   * properties. Nothing waits for the handlers, and what goes wrong with them, or with an event whose row is gone by
   * then, undoes no commit: it is told as `afterCommit` tells it.
   * @throws what `serialize` throws, E_TRANSACTION_MISMATCH and E_INVALID_OPTION.
   */
  publish<Event>(event: Event, to: (event: Revived<Event>) => unknown, options: PublishOptions = {}): void {
    check(options, PUBLISH_CHECKS, 'option ');
    const entities = new Set<AnyEntity>();
    const read = this.#written(event, entities);
    const { orm, orms } = this.#serializer;
    const em = transactionFor(this.#serializer, options.em, entities);
    const [first, ...others] = orms.map((one) => ambientContext(one.em) ?? one.em);
    const bases = [options.em ?? first!, ...others];
    const publish = (): Promise<unknown> => runInNewRequest(bases, async () => to((await read()) as Revived<Event>));
    afterCommit(em ?? freshFork(orm.em, { inTransaction: false }), publish);
  }

  /** Writes an event, as an engine would, and gives what reads it. */
  #written(event: unknown, entities: Set<AnyEntity>): () => Promise<unknown> {
    const encode = (value: unknown): JsonObject =>
      this.#serializer.encodeTelling(value, { sign: false }, { entity: (entity) => void entities.add(entity) });
    const decode = (payload: JsonObject) => this.#serializer.decode(payload, { signed: false });
    try {
      const payload = encode(event);
      return () => decode(payload);
    } catch (error) {
      if (!isOfOwnClass(event, error)) throw error;
      const payload = encode({ ...event });
      return async () => Object.assign(Object.create(Object.getPrototypeOf(event)) as object, await decode(payload));
    }
  }
}

/** Whether what can't travel is the event as such, for its class, and not something in it. */
const isOfOwnClass = (event: unknown, error: unknown): event is object =>
  Object.prototype.toString.call(event) === '[object Object]' &&
  error instanceof ByReferenceError &&
  error.code === 'E_UNSERIALIZABLE' &&
  error.path === '$';
