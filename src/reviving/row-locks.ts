import type { EntityManager } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { driverName, isSqlite } from '../orm/platform.ts';

/** Throws E_UNSUPPORTED where the database has no row locks: MikroORM would read without them and say nothing. */
export function requireRowLocks(em: EntityManager, path?: string): void {
  if (!isSqlite(em.getPlatform())) return;
  throw ByReferenceError.unsupported(
    `The option lockMode on ${driverName(em)}`,
    'SQLite has no row locks: leave the option out, as its transactions write one after the other',
    path,
  );
}

/** Throws E_UNSUPPORTED, and E_INVALID_OPTION where rows can't be locked now, as no transaction would hold the locks. */
export function requireLockable(em: EntityManager, lockMode: unknown, path: string | undefined): void {
  requireRowLocks(em, path);
  if (em.isInTransaction()) return;
  throw ByReferenceError.invalidOption('option lockMode', 'a transaction around it (em.transactional)', lockMode, path);
}
