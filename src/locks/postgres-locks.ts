import type { MikroORM } from '@mikro-orm/core';
import { createHash } from 'node:crypto';
import { aFunction, aName, type Check, check } from '../check.ts';
import { ByReferenceError } from '../errors.ts';
import { once } from '../once.ts';
import { driverName } from '../orm/platform.ts';
import { postgresConnectionOf } from '../orm/postgres-connection.ts';
import { KeyedQueue } from './keyed-queue.ts';
import type { HeldLock, LockProvider } from './lock-provider.ts';
import { type Granted, type LockNumbers, type PostgresClientLike, PostgresSession } from './postgres-session.ts';
import { about, ms, pause } from './waiting.ts';

/** How PostgreSQL keeps the locks. */
export interface PostgresLocksOptions {
  /**
   * Applications that share a database and have locks of their own give different names.
   * @defaultValue `'mikro-orm-byref'`
   */
  readonly namespace?: string;
  /**
   * Makes the client, not yet connected, that holds the locks: `() => new pg.Client(…)`. For a pooler in transaction
   * mode, which the locks must go past, and for an ORM that was given a Kysely instance.
   * @defaultValue MikroORM's own settings
   */
  readonly connection?: () => PostgresClientLike | Promise<PostgresClientLike>;
  /**
   * How often, in milliseconds at most, a waiting call asks again; a release wakes it sooner.
   * @defaultValue 500
   */
  readonly pollMs?: number;
  /**
   * After how many milliseconds without an answer the connection and its locks count as lost.
   * @defaultValue 10,000
   */
  readonly heartbeatMs?: number;
  /**
   * The sequence that fencing tokens are drawn from, as `create sequence lock_tokens` of a migration makes it:
   * `'lock_tokens'`, or with its schema. A lock then writes to the database's log.
   * @defaultValue none, and no tokens
   */
  readonly tokenSequence?: string;
}

const POSTGRES_CHECKS: Record<keyof PostgresLocksOptions, Check> = {
  namespace: aName,
  connection: aFunction,
  pollMs: ms,
  heartbeatMs: ms,
  tokenSequence: aName,
};

const checkPostgresLocksOptions = (options: PostgresLocksOptions): void => check(options, POSTGRES_CHECKS, 'option ');

/**
 * Locks kept by PostgreSQL as session-level advisory locks, on one connection per provider that is not of MikroORM's
 * pool; no transaction stays open. A session that ends frees its locks: a crash at once; behind a network that is cut
 * the server notices within about three times `heartbeatMs`, six at most. Within a process callers enter in the order
 * in which they came; between processes the first to ask after a release wins.
 *
 * A key is 64 bits of SHA-256 there. Should two keys or another user of advisory locks collide in them, they wait for
 * each other; they are never let in together.
 *
 * The first lock is E_UNSUPPORTED where the ORM has no connection of this kind, and E_INVALID_OPTION where
 * `tokenSequence` is no such sequence; one after `close()` is E_UNSUPPORTED.
 * @throws E_INVALID_OPTION.
 */
export function postgresLocks(orm: MikroORM, options: PostgresLocksOptions = {}): LockProvider {
  checkPostgresLocksOptions(options);
  return new PostgresLocks(orm, options);
}

/** Sessions that a call asks which does not wait, or no longer: those before were gone. */
const TRIES = 3;

class PostgresLocks implements LockProvider {
  readonly #orm: MikroORM;
  readonly #options: PostgresLocksOptions;
  readonly #queue = new KeyedQueue();
  readonly #session = once(() => this.#open());
  #isClosed = false;

  constructor(orm: MikroORM, options: PostgresLocksOptions) {
    this.#orm = orm;
    this.#options = options;
  }

  /** The session would let a second call of this process in: the queue keeps it out. */
  acquire(key: string, { signal }: { readonly signal: AbortSignal }): Promise<HeldLock | undefined> {
    const lock = numbersOf(this.#options.namespace ?? 'mikro-orm-byref', key);
    return this.#queue.take(key, signal, (leave) => this.#lock(lock, signal, leave));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const session = await this.#session.forget()?.catch(() => undefined);
    await session?.close(new Error('The provider of the locks was closed.'));
  }

  async #lock(lock: LockNumbers, signal: AbortSignal, leave: () => void): Promise<HeldLock | undefined> {
    const { pollMs = 500 } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const session = await this.#connected();
      session.enter();
      let held: HeldLock | undefined;
      try {
        const granted = await session.lock(lock, signal, pollMs);
        // Not one that was lost again before the work could begin.
        if (granted !== undefined && !session.lost.aborted) {
          held = heldIn(session, lock, granted, leave);
          return held;
        }
        if (!session.lost.aborted) return undefined;
      } catch (error) {
        // The session is gone, and all it may have got with it: it is safe to ask on another one.
        if (!session.lost.aborted || (signal.aborted && attempt >= TRIES)) throw error;
      } finally {
        if (held === undefined) session.leave();
      }
      if (attempt > 1) await pause(about(pollMs), [signal]);
    }
  }

  async #connected(): Promise<PostgresSession> {
    if (this.#isClosed) {
      throw ByReferenceError.unsupported('Taking a lock after close()', 'close the locks when the application ends');
    }
    return this.#session();
  }

  async #open(): Promise<PostgresSession> {
    const client = await (this.#options.connection?.() ?? clientOf(this.#orm));
    const session = await PostgresSession.open(client, {
      heartbeatMs: this.#options.heartbeatMs ?? 10_000,
      tokenSequence: this.#options.tokenSequence,
    });
    session.lost.throwIfAborted();
    session.lost.addEventListener('abort', () => this.#session.forget(), { once: true });
    return session;
  }
}

function heldIn(session: PostgresSession, lock: LockNumbers, { token }: Granted, leave: () => void): HeldLock {
  return {
    token,
    signal: session.lost,
    async release() {
      if (!session.lost.aborted) await session.unlock(lock);
      session.leave();
      leave();
    },
  };
}

function numbersOf(namespace: string, key: string): LockNumbers {
  const hash = createHash('sha256').update(`${namespace}\0${key}`).digest();
  return { holder: `${hash.readBigInt64BE(0)}`, waiters: `${hash.readBigInt64BE(8)}` };
}

/** A client of its own with the settings of MikroORM's connections. */
async function clientOf(orm: MikroORM): Promise<PostgresClientLike> {
  const connection = await postgresConnectionOf(orm);
  if (connection === undefined) {
    throw ByReferenceError.unsupported(
      `Taking advisory locks through ${driverName(orm.em)}`,
      'on PostgreSQL, pass postgresLocks the option connection: () => new pg.Client(…); on other databases, take verrouLocks()',
    );
  }
  return new connection.Client({ ...connection.settings, keepAlive: true }) as PostgresClientLike;
}
