import type { EntityManager, LockMode, Platform } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';

/** SQLite, whatever its driver: told by its dates, which are numbers, because the core does not know the classes of drivers. */
export const isSqlite = (platform: Platform): boolean => typeof platform.processDateProperty(new Date(0)) === 'number';

/** PostgreSQL, PGlite among it. */
export const isPostgres = (platform: Platform): boolean => platform.getDefaultSchemaName() === 'public';

export const driverName = (em: EntityManager): string => em.getDriver().constructor.name;

/** SKIP LOCKED, exclusive and shared. */
export const skipsLocked = (lockMode: LockMode): boolean => lockMode === 4 || lockMode === 6;

/** Throws E_UNSUPPORTED where the transactions of an EntityManager are none that this engine could put jobs into. */
export function requirePostgres(em: EntityManager, engine: string): void {
  if (isPostgres(em.getPlatform())) return;
  throw ByReferenceError.unsupported(
    `The engine of ${engine} on ${driverName(em)}`,
    'its jobs are part of transactions of PostgreSQL; on other databases, take bullmqEngine()',
  );
}
