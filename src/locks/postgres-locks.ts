import type { MikroORM } from '@mikro-orm/core';
import { createHash } from 'node:crypto';
import { aFunction, aName, type Check, check } from '../check.ts';
import { ByReferenceError } from '../errors.ts';
import { driverName } from '../orm/platform.ts';
import { postgresConnectionOf } from '../orm/postgres-connection.ts';
import type { LockProvider } from './lock-provider.ts';
import { type LockNumbers, type PostgresClientLike, PostgresSession } from './postgres-session.ts';
import { SessionLocks } from './session-locks.ts';
import { ms } from './waiting.ts';

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
  const { namespace = 'mikro-orm-byref', pollMs = 500, heartbeatMs = 10_000, tokenSequence, connection } = options;
  return new SessionLocks({
    nameOf: (key) => numbersOf(namespace, key),
    pollMs,
    open: async () => PostgresSession.open(await (connection?.() ?? clientOf(orm)), { heartbeatMs, tokenSequence }),
  });
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
      'on PostgreSQL, pass postgresLocks the option connection: () => new pg.Client(…); on MySQL and MariaDB, take mysqlLocks(); on other databases, verrouLocks()',
    );
  }
  return new connection.Client({ ...connection.settings, keepAlive: true }) as PostgresClientLike;
}
