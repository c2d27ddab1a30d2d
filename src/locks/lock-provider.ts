/** What keeps locks: one per store. `lockContract` in `mikro-orm-byref/testing` says what one must do. */
export interface LockProvider {
  /**
   * Tries to take the lock, at least once, and goes on until `signal` is aborted: undefined when it had no luck.
   * Two calls with one key exclude each other, in this process and in any other; a process that dies frees what it held.
   * A failure of the store is thrown as it is.
   */
  acquire(key: string, options: { readonly signal: AbortSignal }): Promise<HeldLock | undefined>;
  /** Lets go of connections and timers; locks that are held are lost. */
  close?(): Promise<void>;
}

/** A lock that its provider has taken. */
export interface HeldLock {
  /** Aborted when the lock is no longer held although nobody has released it, at the latest while it is released. */
  readonly signal: AbortSignal;
  /**
   * A fencing token, where the store can count: greater than those of all who held the key before, in whatever process
   * and whatever has crashed since.
   */
  readonly token?: bigint | undefined;
  /** Frees the lock, if it is still this holder's. Never rejects: what went wrong with the lock is told by `signal`. */
  release(): Promise<void>;
}
