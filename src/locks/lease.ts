import { ByReferenceError } from '../errors.ts';
import type { HeldLock } from './lock-provider.ts';

/**
 * A lock and those who use it: the call that took it, and the nested calls of the same key. The last one to leave
 * releases it, so that a nested call that nobody awaited is never left without it.
 */
export class Lease {
  readonly key: string;
  readonly #held: HeldLock;
  readonly #lost = new AbortController();
  #users = 1;

  constructor(key: string, held: HeldLock) {
    this.key = key;
    this.#held = held;
    held.signal.addEventListener('abort', this.#lose, { once: true });
    if (held.signal.aborted) this.#lose();
  }

  /** Aborted with E_LOCK_LOST when the lock is lost. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  get token(): bigint | undefined {
    return this.#held.token;
  }

  /** False once it has been released: a branch of the work that runs on no longer holds it. */
  get isHeld(): boolean {
    return this.#users > 0;
  }

  /** Throws E_LOCK_LOST. */
  enter(): this {
    this.signal.throwIfAborted();
    this.#users++;
    return this;
  }

  /** To be called once per user. Throws E_LOCK_LOST when the lock was lost before or while it was released. */
  async leave(): Promise<void> {
    if (--this.#users === 0) {
      await this.#held.release();
      this.#held.signal.removeEventListener('abort', this.#lose);
    }
    this.signal.throwIfAborted();
  }

  readonly #lose = (): void => this.#lost.abort(ByReferenceError.lockLost(this.key, this.#held.signal.reason));
}
