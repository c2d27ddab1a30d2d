/**
 * Microseconds since the epoch, as a hybrid logical clock: no two readings of a process are equal, none is earlier than
 * the one before, and none is earlier than an instant of another process that this one has observed.
 */
export class LogicalClock {
  #last = 0;

  now(): number {
    this.#last = Math.max(Date.now() * 1_000, this.#last + 1);
    return this.#last;
  }

  observe(instant: number): void {
    if (instant > this.#last) this.#last = instant;
  }
}
