import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { aFunction, type Check, check, isName } from '../check.ts';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import { ambientContext, freshFork, globalManagers, isEntityManager, runInNewRequest } from '../orm/context.ts';
import { ENGINE_TOPICS, type PublishedMessage } from '../outbox/options.ts';
import type { Outbox } from '../outbox/outbox.ts';
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

/** Events of one name, as `CommittedEvents.define` gives them. */
export interface DefinedEvent<Event> {
  /**
   * Publishes one, in the transaction that it is about. Resolves when its row is written, where there is an outbox.
   * @throws as `CommittedEvents.publish`; as `Outbox.add`.
   */
  publish(event: Event, options?: PublishOptions): Promise<void>;
}

type Handler = (event: never) => unknown;

/** What rows of events begin with in an outbox. */
const TOPICS = `${ENGINE_TOPICS}event:`;

const PUBLISH_CHECKS: Record<keyof PublishOptions, Check> = { em: ['an EntityManager', isEntityManager] };

const DEFINE_CHECKS: Record<'name' | 'to', Check> = {
  name: ['a name of at most 200 characters', (value) => isName(value) && value.length <= 200],
  to: aFunction,
};

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
  readonly #outbox: Outbox | undefined;
  readonly #defined = new Map<string, Handler>();

  /** What the module does, whose own can be injected. */
  constructor(serializer: EntitySerializer, outbox?: Outbox) {
    this.#serializer = serializer;
    this.#outbox = outbox;
    outbox?.carry(TOPICS, () => ({
      publish: (messages) => this.#handOn(messages),
      close: () => Promise.resolve(),
    }));
  }

  /**
   * Events that must not be lost. With the module's option `outbox` they are rows of the transaction, and published by a
   * process that works: at least once, as rows of then, whatever dies when; what `to` rejects with has them published
   * again later. Each process that works has to define them. Without that option they are published as by `publish`.
   *
   * ```ts
   * readonly paid = this.events.define('order.paid', (event: { order: Order }) =>
   *   this.emitter.emitAsync('order.paid', event),
   * );
   * // in the transaction:
   * await this.paid.publish({ order });
   * ```
   *
   * An event is plain data, entities and registered values: `to` makes instances of it.
   * @throws E_INVALID_OPTION, also for a name that is defined already.
   */
  define<Event extends object>(name: string, to: (event: Revived<Event>) => unknown): DefinedEvent<Event> {
    check({ name, to }, DEFINE_CHECKS, '');
    if (this.#defined.has(name)) {
      throw ByReferenceError.invalidOption('name', 'one that no other event of the application has', name);
    }
    this.#defined.set(name, to as Handler);
    return {
      publish: async (event, options = {}) => {
        check(options, PUBLISH_CHECKS, 'option ');
        if (this.#outbox !== undefined) {
          await this.#outbox.write(TOPICS + name, event, options);
          return;
        }
        const entities = new Set<AnyEntity>();
        this.#afterCommit(this.#read(this.#encode(event, entities)), to, entities, options);
      },
    };
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
    this.#afterCommit(this.#written(event, entities), to, entities, options);
  }

  #afterCommit<Event>(
    read: () => Promise<unknown>,
    to: (event: Revived<Event>) => unknown,
    entities: ReadonlySet<AnyEntity>,
    options: PublishOptions,
  ): void {
    const { orm, orms } = this.#serializer;
    const em = transactionFor(this.#serializer, options.em, entities);
    const [first, ...others] = orms.map((one) => ambientContext(one.em) ?? one.em);
    const bases = [options.em ?? first!, ...others];
    const publish = (): Promise<unknown> => runInNewRequest(bases, async () => to((await read()) as Revived<Event>));
    afterCommit(em ?? freshFork(orm.em, { inTransaction: false }), publish);
  }

  /** Publishes what a relay has taken. */
  async #handOn(messages: readonly PublishedMessage[]): Promise<void> {
    for (const { topic, payload } of messages) {
      const name = topic.slice(TOPICS.length);
      const to = this.#defined.get(name);
      if (to === undefined) {
        throw ByReferenceError.unsupported(
          `Publishing the event ${JSON.stringify(name)}`,
          'define it in each process whose ByReferenceModule works',
        );
      }
      await runInNewRequest(globalManagers(this.#serializer), async () =>
        to((await this.#serializer.decode(payload)) as never),
      );
    }
  }

  /** Writes an event, as an engine would, and gives what reads it. */
  #written(event: unknown, entities: Set<AnyEntity>): () => Promise<unknown> {
    try {
      return this.#read(this.#encode(event, entities));
    } catch (error) {
      if (!isOfOwnClass(event, error)) throw error;
      const read = this.#read(this.#encode({ ...event }, entities));
      return async () => Object.assign(Object.create(Object.getPrototypeOf(event)) as object, await read());
    }
  }

  #encode(value: unknown, entities: Set<AnyEntity>): JsonObject {
    return this.#serializer.encodeTelling(value, { sign: false }, { entity: (entity) => void entities.add(entity) });
  }

  #read(payload: JsonObject): () => Promise<unknown> {
    return () => this.#serializer.decode(payload, { signed: false });
  }
}

/** Whether what can't travel is the event as such, for its class, and not something in it. */
const isOfOwnClass = (event: unknown, error: unknown): event is object =>
  Object.prototype.toString.call(event) === '[object Object]' &&
  error instanceof ByReferenceError &&
  error.code === 'E_UNSERIALIZABLE' &&
  error.path === '$';
