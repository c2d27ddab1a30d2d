import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { randomUUID } from 'node:crypto';
import type { EntitySerializer } from '../entity-serializer.ts';
import { requireSerializer } from '../check.ts';
import { ByReferenceError } from '../errors.ts';
import { about, pause } from '../locks/waiting.ts';
import { telling } from '../tasks/error-report.ts';
import type { Retries } from '../tasks/engine.ts';
import { describe } from '../tasks/outcome.ts';
import { canHoldJobs, transactionFor } from '../tasks/transaction.ts';
import { type Carrier, Carriers } from './carriers.ts';
import { listen, wakeWithCommit } from './listener.ts';
import {
  type AddOptions,
  checkAdding,
  checkOutboxOptions,
  checkRelayOptions,
  type OutboxErrorReport,
  type OutboxOptions,
  type RelayOptions,
} from './options.ts';
import { Relay } from './relay.ts';
import { type NewMessage, OutboxTable } from './table.ts';

const RETRIES: Retries = { limit: 50, delayMs: 1_000, backoff: true };

/**
 * Messages that are rows of the transaction that they tell of, until a relay has handed them on: rolled back they never
 * were, committed they are handed on at least once, whatever process dies when. No order is promised.
 *
 * ```ts
 * const outbox = new Outbox(serializer, { publish: (messages) => broker.send(messages) });
 * await em.transactional(async (tx) => {
 *   order.paidAt = new Date();
 *   await outbox.add('order.paid', { order }, { em: tx });
 * });
 * await outbox.relay({ signal }); // in a worker
 * ```
 */
export class Outbox {
  readonly #serializer: EntitySerializer;
  readonly #options: OutboxOptions;
  readonly #openers = new Map<string, (onError: (error: unknown) => void) => Carrier>();
  /** @internal */
  readonly table: OutboxTable;

  /**
   * `new Outbox(serializer, { publish })`.
   * @throws E_INVALID_OPTION, also where `OutboxMessage` is not among the entities of the serializer's (first) ORM, or
   * that has no transactions (`disableTransactions`).
   */
  constructor(serializer: EntitySerializer, options: OutboxOptions = {}) {
    requireSerializer(serializer);
    checkOutboxOptions(options);
    this.#serializer = serializer;
    this.#options = options;
    this.table = new OutboxTable(serializer.orm);
  }

  /**
   * Adds a message, its entities as tokens, in the transaction that it tells of; where there is none, at once. Resolves
   * with its id when the row is written.
   * @throws as `serialize`; E_TRANSACTION_MISMATCH; E_UNSUPPORTED in a transaction of another ORM than the serializer's
   * first; E_INVALID_OPTION.
   */
  async add(topic: string, value: unknown, options: AddOptions = {}): Promise<string> {
    checkAdding(topic, options);
    return this.write(topic, value, options);
  }

  /** @internal As `add`, whatever the topic begins with. */
  async write(topic: string, value: unknown, options: AddOptions): Promise<string> {
    const entities = new Set<AnyEntity>();
    const payload = this.#serializer.encodeTelling(value, {}, { entity: (entity) => void entities.add(entity) });
    const em = transactionFor(this.#serializer, options.em, entities);
    const { id = randomUUID() } = options;
    await this.insert([{ id, topic, payload }], em);
    return id;
  }

  /**
   * Hands on messages until `signal` is aborted; resolves when those under way have been settled. Any number of relays,
   * in any number of processes, share the work, and no two hand on one message at a time, unless `publish` goes on
   * after its `leaseMs` or one of them died. What fails is told and tried again: it never rejects but for
   * @throws E_INVALID_OPTION.
   */
  async relay(options: RelayOptions = {}): Promise<void> {
    checkRelayOptions(options);
    const { signal = new AbortController().signal, batch = 100, pollMs = 1_000, leaseMs = 30_000 } = options;
    const retries = { ...RETRIES, ...this.#options.retries };
    const tell = telling(this.#serializer, this.#options.onError, lineOf);
    const fails = (error: unknown): void => tell({ messages: [], final: false, error });
    const carriers = new Carriers(this.#options.publish, this.#openers, fails);
    const relay = new Relay({ table: this.table, carriers, retries, batch, leaseMs, tell });
    let [isWoken, wake] = [false, (): void => undefined];
    const onCommit = (): void => {
      isWoken = true;
      wake();
    };
    const listening = listen(this.#serializer.orm, onCommit, signal, fails);
    while (!signal.aborted) {
      isWoken = false;
      const mayGoOn = await relay.pass(signal).catch(fails);
      if (mayGoOn !== true && !isWoken) await pause(about(pollMs), [signal], (end) => (wake = end));
    }
    await listening;
    await carriers.close().catch(fails);
  }

  /** @internal Adds messages to the transaction of `em`, where it is in one. */
  async insert(messages: readonly NewMessage[], em: EntityManager | undefined): Promise<void> {
    if (em !== undefined && !this.isOf(em)) {
      throw ByReferenceError.unsupported(
        'A message of an outbox in a transaction of another ORM',
        'its rows are in the database of the serializer’s first ORM: add it there, or in afterCommit()',
      );
    }
    await this.table.insert(messages, em);
    await wakeWithCommit(em ?? this.#serializer.orm.em);
  }

  /** @internal Has an engine hand on what it adds: relays open a carrier each for what begins with `topics`. */
  carry(topics: string, open: (onError: (error: unknown) => void) => Carrier): void {
    if (this.#openers.has(topics))
      throw ByReferenceError.invalidOption('option outbox', 'an Outbox that no other engine of its kind has', this);
    this.#openers.set(topics, open);
  }

  /** @internal */
  isOf(em: EntityManager): boolean {
    return canHoldJobs(em, this.#serializer);
  }
}

function lineOf({ messages, final, error }: OutboxErrorReport): string {
  const { name, message } = describe(error);
  const what = `${name}: ${message}`;
  const [first, ...others] = messages;
  if (first === undefined) return `A relay of the outbox reports ${what}`;
  const more = others.length === 0 ? '' : ` and ${others.length} more`;
  const fate = final ? `, for good after ${first.attempt} attempts` : ', and will be tried again';
  return `Message ${first.id} of topic "${first.topic}"${more} could not be handed on${fate}: ${what}`;
}
