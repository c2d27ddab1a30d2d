import { AsyncLocalStorage } from 'node:async_hooks';
import { type Check, check, hasMethod, requireSerializer } from '../check.ts';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import { Lease } from './lease.ts';
import type { HeldLock, LockProvider } from './lock-provider.ts';
import { traced } from './tracing.ts';
import { DEFAULT_WAIT_MS, patience, waitMs } from './waiting.ts';
import { type Held, leasesOf, WaitsFor } from './waits-for.ts';

/** How a lock is waited for: `locks.run(user, work, { waitMs: 5_000 })`. */
export interface LockOptions {
  /**
   * How long to wait for the lock, in milliseconds; 0 tries once, Infinity waits without end, as a row lock does.
   * @defaultValue 60,000
   */
  readonly waitMs?: number;
  /**
   * Gives up waiting when it is aborted, and rejects with its reason. It does not stop work that has begun.
   * @defaultValue none
   */
  readonly signal?: AbortSignal;
}

/** What work is told of the lock that it runs under. */
export interface LockGrant {
  /** Aborted with E_LOCK_LOST when the lock is lost. */
  readonly signal: AbortSignal;
  /**
   * A fencing token, where the provider has one (PostgreSQL with `tokenSequence`): greater than those of all who held the
   * key before. A row that keeps the greatest it has seen refuses a holder that has lost its lock without noticing:
   * `em.nativeUpdate(Doc, { id, fence: { $lte: token } }, { body, fence: token })` is 1 or 0.
   */
  readonly token?: bigint | undefined;
}

/** A lock in hand: `await using lock = await locks.acquire(key)`. */
export interface Lock extends LockGrant, AsyncDisposable {
  /**
   * Frees the lock; again is nothing.
   * @throws E_LOCK_LOST when the lock was lost before.
   */
  release(): Promise<void>;
}

/** Work that runs under a lock. */
export type LockedWork<T> = (signal: AbortSignal, lock: LockGrant) => T | Promise<T>;

/** Whether the work of `tryRun` ran, and what came of it. */
export type Tried<T> =
  | { readonly ran: true; readonly result: T }
  | { readonly ran: false; readonly result?: undefined };

const ONE_TRY: LockOptions = { waitMs: 0 };

const LOCK_CHECKS: Record<keyof LockOptions, Check> = {
  waitMs,
  signal: ['an AbortSignal', (value) => typeof (value as AbortSignal | null)?.addEventListener === 'function'],
};

const checkLockOptions = (options: LockOptions): void => check(options, LOCK_CHECKS, 'option ');

/**
 * Work that runs one at a time per key, across processes. A key is an entity (its row: every instance, `Ref` and token
 * of it is the same key), a string, or any value that `dedupeKey` takes. Build one for the application: nested calls of
 * one key recognise each other within one `Locks`.
 */
export class Locks {
  readonly #serializer: Pick<EntitySerializer, 'dedupeKey'>;
  readonly #provider: LockProvider;
  readonly #context = new AsyncLocalStorage<Held>();
  readonly #waitsFor = new WaitsFor();

  /**
   * `new Locks(serializer, postgresLocks(orm))`.
   * @throws E_INVALID_OPTION.
   */
  constructor(serializer: Pick<EntitySerializer, 'dedupeKey'>, provider: LockProvider) {
    requireSerializer(serializer);
    if (!hasMethod(provider, 'acquire')) {
      throw ByReferenceError.invalidOption('provider of Locks', 'postgresLocks(orm) or another provider', provider);
    }
    this.#serializer = serializer;
    this.#provider = provider;
  }

  /** The signal of the innermost lock that the calling work holds: aborted when that is lost. */
  get signal(): AbortSignal | undefined {
    return this.#innermost()?.signal;
  }

  /** The fencing token of that lock, where the provider has one. */
  get token(): bigint | undefined {
    return this.#innermost()?.token;
  }

  /**
   * Runs `fn` while nobody else holds the key. Nested in work that holds it already, it runs at once. A failure of the
   * lock's store passes through as it is.
   * @throws E_LOCKED, retryable, when the key was not free within `waitMs`, and at once when its holder in this process
   * waits for a lock that the calling work holds; what `fn` rejects with; E_LOCK_LOST where `fn` succeeded although its
   * lock was lost meanwhile: then another may have run beside it; what `dedupeKey` throws for the key, and
   * E_INVALID_OPTION.
   */
  async run<T>(key: unknown, fn: LockedWork<T>, options: LockOptions = {}): Promise<T> {
    checkLockOptions(options);
    const text = this.#textOf(key);
    return traced(text, async (waited) =>
      this.#use(orFail(await waited(this.#acquire(text, options)), text, options), fn),
    );
  }

  /**
   * Runs `fn` if nobody else holds the key just now: `{ ran: true, result }` or `{ ran: false }`.
   * @throws as `run`, but with no E_LOCKED of its own.
   */
  async tryRun<T>(key: unknown, fn: LockedWork<T>): Promise<Tried<T>> {
    const text = this.#textOf(key);
    return traced(text, async (waited) => {
      const lease = await waited(this.#acquire(text, ONE_TRY));
      return lease === undefined ? { ran: false } : { ran: true, result: await this.#use(lease, fn) };
    });
  }

  /**
   * Takes the lock for code that is no function; whoever takes it must release it. A lock in hand belongs to no async
   * context: who takes its key once more waits for its release, and a circle through it ends with `waitMs`.
   * @throws as `run`.
   */
  async acquire(key: unknown, options: LockOptions = {}): Promise<Lock> {
    checkLockOptions(options);
    const text = this.#textOf(key);
    return traced(text, async (waited) => handle(orFail(await waited(this.#acquire(text, options)), text, options)));
  }

  /**
   * The lock, or undefined if somebody else holds the key just now.
   * @throws as `acquire`, but for E_LOCKED.
   */
  async tryAcquire(key: unknown): Promise<Lock | undefined> {
    const text = this.#textOf(key);
    return traced(text, async (waited) => {
      const lease = await waited(this.#acquire(text, ONE_TRY));
      return lease === undefined ? undefined : handle(lease);
    });
  }

  /** Closes what the provider has opened, when the application ends; locks that are held are lost. */
  async close(): Promise<void> {
    await this.#provider.close?.();
  }

  async #acquire(key: string, { waitMs = DEFAULT_WAIT_MS, signal }: LockOptions): Promise<Lease | undefined> {
    signal?.throwIfAborted();
    const context = this.#context.getStore();
    const outer = leasesOf(context).find((lease) => lease.key === key);
    if (outer !== undefined) return outer.enter();
    const endWait = waitMs === 0 ? undefined : this.#waitsFor.begin(key, context);
    const { signal: until, end } = patience(waitMs, signal);
    let held: HeldLock | undefined;
    try {
      const acquiring = this.#provider.acquire(key, { signal: until });
      // A store that does not answer makes nobody wait for longer; a single try is as long as it takes.
      held = await (waitMs === 0 ? acquiring : Promise.race([acquiring, givenUp(until)]));
      if (held === undefined) acquiring.then((late) => late?.release()).catch(() => undefined);
    } finally {
      end();
      endWait?.();
    }
    if (signal?.aborted === true) {
      await held?.release();
      throw signal.reason;
    }
    return held === undefined ? undefined : new Lease(key, held);
  }

  #innermost(): Lease | undefined {
    return leasesOf(this.#context.getStore())[0];
  }

  async #use<T>(lease: Lease, fn: LockedWork<T>): Promise<T> {
    let result: T;
    try {
      result = await this.#context.run({ lease, outer: this.#context.getStore() }, async () =>
        fn(lease.signal, grantOf(lease)),
      );
    } catch (error) {
      // What the work says goes before what became of its lock.
      await lease.leave().catch(() => undefined);
      throw error;
    }
    await lease.leave();
    return result;
  }

  #textOf(key: unknown): string {
    // One key for all who have none is what nobody means.
    if (key === undefined) throw ByReferenceError.invalidOption('key of a lock', 'an entity, a string or a value', key);
    return this.#serializer.dedupeKey(key);
  }
}

/** Resolves a moment after the signal, so that a provider that heeds it goes first. */
const givenUp = (signal: AbortSignal): Promise<undefined> =>
  new Promise((resolve) => {
    signal.addEventListener('abort', () => setImmediate(() => resolve(undefined)), { once: true });
  });

function orFail(lease: Lease | undefined, key: string, { waitMs = DEFAULT_WAIT_MS }: LockOptions): Lease {
  if (lease !== undefined) return lease;
  const since = waitMs === 0 ? 'at once' : `within ${waitMs} ms`;
  const advice = 'retry later, or wait longer with the option waitMs';
  throw ByReferenceError.notFree(key, `is held elsewhere and was not free ${since}; ${advice}`);
}

const grantOf = ({ signal, token }: Lease): LockGrant => (token === undefined ? { signal } : { signal, token });

function handle(lease: Lease): Lock {
  let released: Promise<void> | undefined;
  const release = (): Promise<void> => (released ??= lease.leave());
  return { ...grantOf(lease), release, [Symbol.asyncDispose]: release };
}
