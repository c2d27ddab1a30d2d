import type { EntityManager } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { driverName, isMysql, isSqlite, sharesOrFails } from '../orm/platform.ts';

/** Throws E_UNSUPPORTED where the database has no such locks: of SQLite, MikroORM would read without them and say nothing. */
export function requireRowLocks(em: EntityManager, lockMode: unknown, path?: string): void {
  if (isMysql(em.getPlatform()) && sharesOrFails(lockMode)) {
    throw ByReferenceError.unsupported(
      `A shared lock that does not wait, on ${driverName(em)},`,
      'MikroORM writes it in a way that neither MySQL nor MariaDB reads: take PESSIMISTIC_PARTIAL_WRITE or PESSIMISTIC_WRITE_OR_FAIL',
      path,
    );
  }
  if (!isSqlite(em.getPlatform())) return;
  throw ByReferenceError.unsupported(
    `The option lockMode on ${driverName(em)}`,
    'SQLite has no row locks: leave the option out, as its transactions write one after the other',
    path,
  );
}

/** Throws E_UNSUPPORTED, and E_INVALID_OPTION where rows can't be locked now, as no transaction would hold the locks. */
export function requireLockable(em: EntityManager, lockMode: unknown, path: string | undefined): void {
  requireRowLocks(em, lockMode, path);
  if (em.isInTransaction()) return;
  throw ByReferenceError.invalidOption('option lockMode', 'a transaction around it (em.transactional)', lockMode, path);
}
