import type { MikroORM } from '@mikro-orm/core';
import { createHash } from 'node:crypto';
import { aName, type Check, check } from '../check.ts';
import { ByReferenceError } from '../errors.ts';
import { openMysqlConnection } from '../orm/mysql-connection.ts';
import { driverName } from '../orm/platform.ts';
import type { LockProvider } from './lock-provider.ts';
import { MysqlSession } from './mysql-session.ts';
import { SessionLocks } from './session-locks.ts';
import { ms } from './waiting.ts';

/** How MySQL and MariaDB keep the locks. */
export interface MysqlLocksOptions {
  /**
   * Applications that share a database and have locks of their own give different names.
   * @defaultValue `'mikro-orm-byref'`
   */
  readonly namespace?: string;
  /**
   * How often, in milliseconds at most, a waiting call asks again.
   * @defaultValue 100
   */
  readonly pollMs?: number;
  /**
   * After how many milliseconds without an answer the connection and its locks count as lost.
   * @defaultValue 10,000
   */
  readonly heartbeatMs?: number;
}

const MYSQL_CHECKS: Record<keyof MysqlLocksOptions, Check> = { namespace: aName, pollMs: ms, heartbeatMs: ms };

/**
 * Locks kept by MySQL or MariaDB with GET_LOCK, on one connection per provider that is not of MikroORM's pool; no
 * transaction stays open. A session that ends frees its locks: a crash at once; of one that says nothing, behind a
 * network that is cut or in a process that stands still, the server frees them after three times `heartbeatMs`. Within a
 * process callers enter in the order in which they came; between processes the first to ask after a release wins. There
 * are no fencing tokens.
 *
 * A name is 224 bits of SHA-256 there, of the database, the namespace and the key: the server knows one list of names for
 * all its databases.
 *
 * The first lock is E_UNSUPPORTED on another database, one after `close()` too.
 * @throws E_INVALID_OPTION.
 */
export function mysqlLocks(orm: MikroORM, options: MysqlLocksOptions = {}): LockProvider {
  check(options, MYSQL_CHECKS, 'option ');
  const { namespace = 'mikro-orm-byref', pollMs = 100, heartbeatMs = 10_000 } = options;
  return new SessionLocks({
    nameOf: (key) => nameOf([orm.config.get('dbName'), namespace, key]),
    pollMs,
    async open() {
      const connection = await openMysqlConnection(orm);
      if (connection !== undefined) return MysqlSession.open(connection, heartbeatMs);
      throw ByReferenceError.unsupported(
        `Taking locks of MySQL through ${driverName(orm.em)}`,
        'on PostgreSQL, take postgresLocks(); on other databases, verrouLocks()',
      );
    },
  });
}

/** At most 64 characters, whose case is no matter there. */
const nameOf = (parts: readonly (string | undefined)[]): string =>
  `byref:${createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 56)}`;
