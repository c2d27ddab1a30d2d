import { AsyncLocalStorage } from 'node:async_hooks';
import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import type { BusDriver, L2CacheDriver } from 'bentocache/types';

/** A second level and a bus for several caches in one process, whose every step takes as long as `pause` does. */
export class SlowStore {
  readonly #items = new Map<string, string>();
  readonly #subscribers = new Map<string, (message: never) => void>();
  readonly #pause: () => Promise<void>;
  /** Messages under way. */
  #flying = 0;

  constructor(pause: () => Promise<void>) {
    this.#pause = pause;
  }

  get isQuiet(): boolean {
    return this.#flying === 0;
  }

  /** One process's cache over it. */
  open(): BentoCache<never> {
    const store = bentostore({ prefix: '' })
      .useL1Layer(memoryDriver({}))
      .useL2Layer({ options: {}, factory: () => this.#level() })
      .useBus({ options: { retryQueue: { enabled: false } }, factory: () => this.#bus() });
    return new BentoCache({ default: 'slow', stores: { slow: store } }) as unknown as BentoCache<never>;
  }

  #level(): L2CacheDriver {
    const slowly = async <T>(step: () => T): Promise<T> => {
      await this.#pause();
      const result = step();
      await this.#pause();
      return result;
    };
    const remove = (key: string): boolean => this.#items.delete(key);
    return {
      type: 'l2',
      namespace: () => this.#level(),
      get: (key) => slowly(() => this.#items.get(key)),
      pull: () => Promise.reject(new Error('not used')),
      set: (key, value) => slowly(() => this.#items.set(key, value) === this.#items),
      delete: (key) => slowly(() => remove(key)),
      deleteMany: (keys) => slowly(() => keys.map(remove).includes(true)),
      clear: () => slowly(() => this.#items.clear()),
      disconnect: async () => {},
    };
  }

  #bus(): BusDriver {
    let own: string;
    return {
      setId(id: string) {
        own = id;
        return this;
      },
      subscribe: async (_channel: string, handler: (message: never) => void) => {
        // It runs in its own process, not in that of who publishes.
        const inContext = AsyncLocalStorage.snapshot();
        this.#subscribers.set(own, (message) => inContext(handler, message));
      },
      publish: async (_channel: string, message: object) => {
        for (const [id, handler] of this.#subscribers) {
          if (id !== own) void this.#deliver(handler, message);
        }
      },
      unsubscribe: async () => {},
      disconnect: async () => void this.#subscribers.delete(own),
      onReconnect: () => {},
    } as unknown as BusDriver;
  }

  async #deliver(handler: (message: never) => void, message: object): Promise<void> {
    this.#flying++;
    // The bus is slower than the store.
    for (let pauses = 0; pauses < 8; pauses++) await this.#pause();
    handler({ ...message } as never);
    this.#flying--;
  }
}
