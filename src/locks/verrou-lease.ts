import type { HeldLock } from './lock-provider.ts';
import { settled } from './waiting.ts';

/** What of Verrou's `Lock` is used. */
export interface VerrouLockLike {
  /** Takes the lock, or says false where somebody else has it. */
  acquireImmediately(): Promise<boolean>;
  /** Has the lease end `ttl` milliseconds from now. */
  extend(ttl: number): Promise<void>;
  /** Frees the lock. */
  release(): Promise<void>;
}

/** A lock of Verrou that is extended until it is released, or lost when it could not be in time. */
export class VerrouLease implements HeldLock {
  readonly #lock: VerrouLockLike;
  readonly #leaseMs: number;
  readonly #leave: () => void;
  readonly #lost = new AbortController();
  readonly #extension: NodeJS.Timeout;
  #expiry: NodeJS.Timeout | undefined;
  #endsAt = 0;
  #isReleased = false;
  #failure: unknown = new Error('The lease was over before it was extended: was the thread busy for longer?');

  constructor(lock: VerrouLockLike, leaseMs: number, askedAt: number, leave: () => void) {
    this.#lock = lock;
    this.#leaseMs = leaseMs;
    this.#leave = leave;
    this.#startedAt(askedAt);
    // Twice in a lease, so that one extension may fail.
    this.#extension = setInterval(() => void this.#extend(), Math.ceil(leaseMs / 3)).unref();
  }

  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /** A lease that is over is not released: the lock may be another's by now. */
  async release(): Promise<void> {
    this.#isReleased = true;
    this.#stop();
    const leftMs = this.#endsAt - performance.now();
    if (leftMs <= 0) this.#lose(this.#failure);
    if (!this.signal.aborted) {
      // A store that does not answer has nothing left to release by then.
      await settled(this.#lock.release().catch(this.#onFailure), leftMs);
    }
    this.#leave();
  }

  async #extend(): Promise<void> {
    const askedAt = performance.now();
    const failure = await this.#lock.extend(this.#leaseMs).then(() => undefined, asError);
    // An extension that a release has overtaken finds no lock of ours, and that is as it should be.
    if (this.#isReleased || this.signal.aborted) return;
    if (failure === undefined) this.#startedAt(askedAt);
    else this.#onFailure(failure);
  }

  #startedAt(askedAt: number): void {
    this.#endsAt = askedAt + this.#leaseMs;
    clearTimeout(this.#expiry);
    this.#expiry = setTimeout(() => this.#lose(this.#failure), this.#endsAt - performance.now()).unref();
  }

  /** Not the owner: lost. Anything else may pass, or the lease be over before it does. */
  readonly #onFailure = (error: unknown): void => {
    this.#failure = error;
    if ((error as { code?: unknown } | null)?.code === 'E_LOCK_NOT_OWNED') this.#lose(error);
  };

  #lose(cause: unknown): void {
    this.#stop();
    this.#lost.abort(cause);
  }

  #stop(): void {
    clearInterval(this.#extension);
    clearTimeout(this.#expiry);
  }
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));
