import type { LockMode } from '@mikro-orm/core';
import { skipsLocked } from './platform.ts';

/**
 * Nothing but the rows of now, and no flush before: reading must not write the user's unit of work, and a replica or a
 * result cache may be older than the job.
 */
export const PAST_ALL = { flushMode: 'commit', connectionType: 'write', cache: false } as const;

interface FinderOptions {
  readonly flushMode?: unknown;
  readonly lockMode?: LockMode;
}

export interface Finder {
  find(entityName: unknown, where: unknown, options?: FinderOptions): Promise<unknown>;
}

/**
 * What a query of ours goes by, and those that it has MikroORM send for relations. What SKIP LOCKED hides from the
 * latter MikroORM takes for gone: they lock nothing then.
 */
export function pastAll({ lockMode, ...options }: FinderOptions = {}): FinderOptions {
  const isOfRelation = options.flushMode !== PAST_ALL.flushMode;
  const hides = isOfRelation && lockMode !== undefined && skipsLocked(lockMode);
  return { ...options, ...PAST_ALL, ...(lockMode !== undefined && !hides && { lockMode }) };
}
