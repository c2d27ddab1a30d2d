/** Callers of one key enter one at a time, in the order in which they came; different keys don't meet. */
export class KeyedQueue {
  /** A key is here while somebody is inside; its list holds those that wait. */
  readonly #waiting = new Map<string, (() => void)[]>();

  /**
   * Enters and tries to take what only one may have. Who gets it stays inside until it calls `leave`, once; who gets
   * nothing, or fails, leaves at once. Undefined too when `signal` is aborted before it is its turn.
   */
  async take<Held>(
    key: string,
    signal: AbortSignal,
    take: (leave: () => void) => Promise<Held | undefined>,
  ): Promise<Held | undefined> {
    const leave = await this.#enter(key, signal);
    if (leave === undefined) return undefined;
    let held: Held | undefined;
    try {
      held = await take(leave);
      return held;
    } finally {
      if (held === undefined) leave();
    }
  }

  #enter(key: string, signal: AbortSignal): Promise<(() => void) | undefined> {
    const waiting = this.#waiting.get(key);
    const leave = (): void => this.#leave(key);
    if (waiting === undefined) {
      this.#waiting.set(key, []);
      return Promise.resolve(leave);
    }
    if (signal.aborted) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const enter = (): void => {
        signal.removeEventListener('abort', giveUp);
        resolve(leave);
      };
      const giveUp = (): void => {
        waiting.splice(waiting.indexOf(enter), 1);
        resolve(undefined);
      };
      waiting.push(enter);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  #leave(key: string): void {
    const next = this.#waiting.get(key)!.shift();
    if (next === undefined) this.#waiting.delete(key);
    else next();
  }
}
