import type { EntityManager } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { driverName, isPostgres } from '../orm.ts';

/** Throws E_UNSUPPORTED where the transactions of an EntityManager are none that this engine could put jobs into. */
export function requirePostgres(em: EntityManager, engine: string): void {
  if (isPostgres(em.getPlatform())) return;
  throw ByReferenceError.unsupported(
    `The engine of ${engine} on ${driverName(em)}`,
    'its jobs are part of transactions of PostgreSQL; on other databases, take bullmqEngine()',
  );
}
