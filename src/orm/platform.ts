import type { EntityManager, LockMode, Platform } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';

/** SQLite, whatever its driver: told by its dates, which are numbers, because the core does not know the classes of drivers. */
export const isSqlite = (platform: Platform): boolean => typeof platform.processDateProperty(new Date(0)) === 'number';

/** PostgreSQL, PGlite among it. */
export const isPostgres = (platform: Platform): boolean => platform.getDefaultSchemaName() === 'public';

/** MySQL and MariaDB: of all databases that MikroORM has a driver for they alone have unsigned numbers. */
export const isMysql = (platform: Platform): boolean => platform.supportsUnsigned();

/** The databases that the tests run on. */
export const isTested = (platform: Platform): boolean =>
  isPostgres(platform) || isSqlite(platform) || isMysql(platform);

/** False for MongoDB, alone of those that MikroORM has a driver for. */
export const hasTables = (platform: Platform): boolean => platform.usesPivotTable();

/** REPEATABLE READ is the default there: plain reads of a transaction see what its first one has seen. */
export const readsSnapshot = (em: EntityManager): boolean => isMysql(em.getPlatform()) && em.isInTransaction();

export const driverName = (em: EntityManager): string => em.getDriver().constructor.name;

/** SKIP LOCKED, exclusive and shared. */
export const skipsLocked = (lockMode: LockMode): boolean => lockMode === 4 || lockMode === 6;

/** Shared locks with SKIP LOCKED or NOWAIT. */
export const sharesOrFails = (lockMode: unknown): boolean => lockMode === 6 || lockMode === 7;

/** Throws E_UNSUPPORTED where the transactions of an EntityManager are none that this engine could put jobs into. */
export function requirePostgres(em: EntityManager, engine: string): void {
  if (isPostgres(em.getPlatform())) return;
  throw ByReferenceError.unsupported(
    `The engine of ${engine} on ${driverName(em)}`,
    'its jobs are part of transactions of PostgreSQL; on other databases, take bullmqEngine()',
  );
}
