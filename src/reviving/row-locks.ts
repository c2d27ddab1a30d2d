import type { EntityManager } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { driverName, isSqlite } from '../orm/platform.ts';

/** Throws E_UNSUPPORTED where the database has no row locks: MikroORM would read without them and say nothing. */
export function requireRowLocks(em: EntityManager): void {
  if (!isSqlite(em.getPlatform())) return;
  throw ByReferenceError.unsupported(
    `The option lockMode on ${driverName(em)}`,
    'SQLite has no row locks: leave the option out, as its transactions write one after the other',
  );
}
