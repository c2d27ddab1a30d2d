import type { EntityManager } from '@mikro-orm/core';
import { aCount, aFunction, type Check, check, isName, isObject, milliseconds, oneOf, whole } from '../check.ts';
import { ByReferenceError } from '../errors.ts';
import { isEntityManager } from '../orm/context.ts';
import type { Retries } from '../tasks/engine.ts';
import type { JsonObject } from '../wire/json.ts';

/** Topics of engines begin with this, and no others. */
export const ENGINE_TOPICS = 'mikro-orm-byref:';

/** A message as `publish` gets it: `{ id, topic: 'order.paid', payload: { $byref: 1, data: … }, createdAt, attempt: 1 }`. */
export interface PublishedMessage {
  /** The same whenever the message is handed on: what receivers know a repeat by. */
  readonly id: string;
  /** As it was given to `add`. */
  readonly topic: string;
  /** What `serializer.decode` reads, and, as text, `deserialize`. */
  readonly payload: JsonObject;
  /** When it was added. */
  readonly createdAt: Date;
  /** 1 for the first. */
  readonly attempt: number;
}

/** Hands messages of one topic on. Resolves when they are safe where they went; rejects where one of them may not be. */
export type Publish = (messages: readonly PublishedMessage[], options: PublishCall) => unknown;

/** What `publish` is called with beside its messages. */
export interface PublishCall {
  /** Aborted when the relay's `leaseMs` are over, and the call counts as failed. */
  readonly signal: AbortSignal;
}

/** What went wrong in a relay. */
export interface OutboxErrorReport {
  /** The messages that were not handed on; none where it is about the relay itself, as a lost connection. */
  readonly messages: readonly PublishedMessage[];
  /** They are dead letters now. */
  readonly final: boolean;
  /** What was thrown. */
  readonly error: unknown;
}

/** What `new Outbox(serializer, options)` takes. */
export interface OutboxOptions {
  /**
   * Hands messages on, to a broker, a webhook, another queue: up to a hundred of one topic, and those that have failed
   * one by one.
   * @defaultValue none: messages of `add` fail; those of an engine are its own to hand on
   */
  readonly publish?: Publish;
  /**
   * How a message is tried again that could not be handed on, before it is a dead letter. The delay does not grow beyond
   * ten minutes.
   * @defaultValue `{ limit: 50, delayMs: 1_000, backoff: true }`: about seven hours
   */
  readonly retries?: Partial<Retries>;
  /**
   * Told of all that goes wrong in this process's relays.
   * @defaultValue one line of MikroORM's logger each, also with `debug: false`
   */
  readonly onError?: (report: OutboxErrorReport) => void | Promise<void>;
}

/** How a message is added. */
export interface AddOptions {
  /**
   * Whose transaction the message is part of.
   * @defaultValue that of the entities in the value, else the ambient one
   */
  readonly em?: EntityManager;
  /**
   * What receivers know a repeat by. While a message of that id waits, another is not added.
   * @defaultValue a random UUID
   */
  readonly id?: string;
}

/** How a relay works. */
export interface RelayOptions {
  /**
   * Ends the relay.
   * @defaultValue none: it ends with the process
   */
  readonly signal?: AbortSignal;
  /**
   * Messages that are taken at once.
   * @defaultValue 100
   */
  readonly batch?: number;
  /**
   * How often an idle relay looks for messages, in milliseconds at most; on PostgreSQL a commit wakes it sooner.
   * @defaultValue 1,000
   */
  readonly pollMs?: number;
  /**
   * For how many milliseconds messages that were taken are this relay's, and how long `publish` may take: those of a
   * relay that died are another's afterwards.
   * @defaultValue 30,000
   */
  readonly leaseMs?: number;
}

const positive: Check = ['positive milliseconds', (value) => Number.isSafeInteger(value) && (value as number) > 0];

/** How many characters their column holds. */
export const LONGEST_TOPIC = 255;

/** What the columns hold. */
const isShort = (value: unknown): value is string => isName(value) && value.length <= LONGEST_TOPIC;

const anId: Check = ['a name of at most 255 characters', isShort];

const aTopic: Check = [
  `a name of at most 255 characters that does not begin with ${ENGINE_TOPICS}`,
  (value) => isShort(value) && !value.startsWith(ENGINE_TOPICS),
];

const OUTBOX_CHECKS: Record<keyof OutboxOptions, Check> = {
  publish: aFunction,
  retries: ['an object', isObject],
  onError: aFunction,
};

const RETRIES_CHECKS: Record<keyof Retries, Check> = {
  limit: whole,
  delayMs: milliseconds,
  backoff: oneOf(true, false),
};

const ADD_CHECKS: Record<keyof AddOptions, Check> = { em: ['an EntityManager', isEntityManager], id: anId };

const RELAY_CHECKS: Record<keyof RelayOptions, Check> = {
  signal: [
    'an AbortSignal',
    (value) => isObject(value) && typeof (value as Partial<AbortSignal>).aborted === 'boolean',
  ],
  batch: aCount,
  pollMs: positive,
  leaseMs: positive,
};

export function checkOutboxOptions(options: OutboxOptions): void {
  check(options, OUTBOX_CHECKS, 'option ');
  check(options.retries ?? {}, RETRIES_CHECKS, 'option retries.');
}

export function checkAdding(topic: string, options: AddOptions): void {
  const [expected, isValid] = aTopic;
  if (!isValid(topic)) throw ByReferenceError.invalidOption('topic of a message', expected, topic);
  check(options, ADD_CHECKS, 'option ');
}

export const checkRelayOptions = (options: RelayOptions): void => check(options, RELAY_CHECKS, 'option ');
