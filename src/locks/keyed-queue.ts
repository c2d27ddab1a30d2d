/** Callers of one key enter one at a time, in the order in which they came; different keys don't meet. */
export class KeyedQueue {
  /** A key is here while somebody is inside; its list holds those that wait. */
  readonly #waiting = new Map<string, (() => void)[]>();

  /** Resolves to the function that leaves, to be called once; or to undefined when `signal` is aborted before. */
  enter(key: string, signal: AbortSignal): Promise<(() => void) | undefined> {
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
