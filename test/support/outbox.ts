import { Outbox, type OutboxOptions, type PublishedMessage, type RelayOptions } from 'mikro-orm-byref/outbox';
import type { EntitySerializer } from 'mikro-orm-byref';

/** Relays that are stopped together, as a test ends. */
export class Relays {
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>[] = [];

  start(outbox: Outbox, options: RelayOptions = {}): void {
    this.#running.push(outbox.relay({ pollMs: 20, signal: this.#stopping.signal, ...options }));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#running);
  }
}

/** Keeps what is handed on: each call is a list of messages. */
export class Mailbox {
  readonly calls: (readonly PublishedMessage[])[] = [];
  readonly outbox: Outbox;

  constructor(serializer: EntitySerializer, options: OutboxOptions = {}) {
    this.outbox = new Outbox(serializer, {
      publish: (messages) => void this.calls.push(messages),
      onError: () => {},
      ...options,
    });
  }

  get messages(): readonly PublishedMessage[] {
    return this.calls.flat();
  }

  get topics(): readonly string[] {
    return this.messages.map(({ topic }) => topic);
  }
}
