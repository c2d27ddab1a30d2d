import { createHash } from 'node:crypto';
import { aName, type Check, check, hasMethod } from '../check.ts';
import { ByReferenceError } from '../errors.ts';
import { KeyedQueue } from './keyed-queue.ts';
import type { HeldLock, LockProvider } from './lock-provider.ts';
import { VerrouLease, type VerrouLockLike } from './verrou-lease.ts';
import { about, ms, pause } from './waiting.ts';

/** What of a `Verrou`, or of one of its `LockFactory`s, is used. */
export interface VerrouLike {
  /** A lock of that name, not yet taken, whose lease is `ttl` milliseconds. */
  createLock(name: string, ttl: number): VerrouLockLike;
}

/** How Verrou's store keeps the locks. */
export interface VerrouLocksOptions {
  /**
   * How long, in milliseconds, a lock outlives a process that died; it is extended while work runs.
   * @defaultValue 30,000
   */
  readonly leaseMs?: number;
  /**
   * How often, in milliseconds at most, a waiting call asks again.
   * @defaultValue 250
   */
  readonly pollMs?: number;
  /**
   * What the names of locks in the store begin with.
   * @defaultValue `'mikro-orm-byref'`
   */
  readonly namespace?: string;
}

const VERROU_CHECKS: Record<keyof VerrouLocksOptions, Check> = { leaseMs: ms, pollMs: ms, namespace: aName };

const checkVerrouLocksOptions = (options: VerrouLocksOptions): void => check(options, VERROU_CHECKS, 'option ');

/**
 * Locks kept by Verrou's stores: Redis, a table, one process's memory. They are leases, which are extended while the
 * work runs and run out when the process has died. A store that can't be reached loses the lock when its lease is over;
 * so does work that keeps the thread busy for longer than the lease. Within a process callers enter in the order in
 * which they came, and the store is asked by one of them: build one provider per process, which a memory store relies
 * on.
 * @throws E_INVALID_OPTION.
 */
export function verrouLocks(verrou: VerrouLike, options: VerrouLocksOptions = {}): LockProvider {
  checkVerrouLocksOptions(options);
  if (!hasMethod(verrou, 'createLock')) {
    throw ByReferenceError.invalidOption('argument of verrouLocks', 'a Verrou or a LockFactory', verrou);
  }
  const { leaseMs = 30_000, pollMs = 250, namespace = 'mikro-orm-byref' } = options;
  const queue = new KeyedQueue();

  async function take(lock: VerrouLockLike, signal: AbortSignal, leave: () => void): Promise<HeldLock | undefined> {
    for (;;) {
      // The lease may have begun as early as it was asked for.
      const askedAt = performance.now();
      if (await lock.acquireImmediately()) return new VerrouLease(lock, leaseMs, askedAt, leave);
      if (signal.aborted) return undefined;
      await pause(about(pollMs), [signal]);
    }
  }

  return {
    acquire: (key, { signal }) =>
      queue.take(key, signal, async (leave) => take(verrou.createLock(nameOf(namespace, key), leaseMs), signal, leave)),
  };
}

/** Short enough for a column, whatever the key. */
const nameOf = (namespace: string, key: string): string =>
  `${namespace}:${createHash('sha256').update(key).digest('base64url')}`;
