interface Flight<Result> {
  readonly landed: Promise<Result>;
  isDropped: boolean;
}

/** One factory at a time per key: who comes while it runs waits for what it makes. */
export class Flights<Result> {
  readonly #flights = new Map<string, Flight<Result>>();

  has(key: string): boolean {
    return this.#flights.has(key);
  }

  /** What the factory that runs for the key makes, or else `make`; `store` keeps it, unless the key is dropped meanwhile. */
  join(key: string, make: () => Promise<Result>, store: (made: Result) => Promise<void>): Promise<Result> {
    const running = this.#flights.get(key);
    if (running !== undefined) return running.landed;
    const land = async (): Promise<Result> => {
      try {
        const made = await make();
        if (!flight.isDropped) await store(made);
        return made;
      } finally {
        if (this.#flights.get(key) === flight) this.#flights.delete(key);
      }
    };
    // `land` reads `flight` once `make` has resolved, and so after this statement.
    const flight: Flight<Result> = { isDropped: false, landed: Promise.resolve().then(land) };
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
