import type { Methods } from './methods.ts';

/** The events that queues were subscribed to here. What the database says of them anybody may have written there. */
export class Subscriptions {
  readonly methods: Methods;
  readonly #events = new Map<string, Set<string>>();

  constructor(boss: Methods) {
    this.methods = {
      subscribe: async (event, name) => {
        await boss['subscribe']!(event, name);
        this.of(name as string).add(event as string);
      },
      unsubscribe: async (event, name) => {
        await boss['unsubscribe']!(event, name);
        this.of(name as string).delete(event as string);
      },
    };
  }

  of(queue: string): Set<string> {
    const events = this.#events.get(queue) ?? new Set();
    this.#events.set(queue, events);
    return events;
  }
}
