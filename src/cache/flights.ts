import type { CacheRecord } from './record.ts';

interface Flight {
  readonly landed: Promise<CacheRecord>;
  isDropped: boolean;
}

/** One factory at a time per key: who comes while it runs waits for what it makes. */
export class Flights {
  readonly #flights = new Map<string, Flight>();

  has(key: string): boolean {
    return this.#flights.has(key);
  }

  /** What the factory that runs for the key makes, or else `make`; `store` keeps it, unless the key is dropped meanwhile. */
  join(
    key: string,
    make: () => Promise<CacheRecord>,
    store: (record: CacheRecord) => Promise<void>,
  ): Promise<CacheRecord> {
    const running = this.#flights.get(key);
    if (running !== undefined) return running.landed;
    const land = async (): Promise<CacheRecord> => {
      try {
        const record = await make();
        if (!flight.isDropped) await store(record);
        return record;
      } finally {
        if (this.#flights.get(key) === flight) this.#flights.delete(key);
      }
    };
    // `land` reads `flight` once `make` has resolved, and so after this statement.
    const flight: Flight = { isDropped: false, landed: Promise.resolve().then(land) };
    this.#flights.set(key, flight);
    return flight.landed;
  }

  /** What runs for the key is not stored, and nobody else waits for it. */
  drop(key: string): void {
    const flight = this.#flights.get(key);
    if (flight !== undefined) flight.isDropped = true;
    this.#flights.delete(key);
  }
}
