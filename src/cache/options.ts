import type { EntityManager } from '@mikro-orm/core';
import type { EntityClass } from '../options.ts';

/** Every member has a default. */
export interface EntityCacheOptions {
  /** True where no other process uses the cache, and nothing is lost without a bus: no warning. Default: false. */
  readonly singleProcess?: boolean;
  /**
   * Told when a refresh behind a stale value fails, or the cache's store does; the visitor has a value all the same.
   * Default: a process warning.
   */
  readonly onError?: (error: unknown) => void;
}

/** How long a value is kept, and what makes it stale. */
export interface Freshness {
  /** Milliseconds for which a value is fresh. With `graceMs` at most 30 days. */
  readonly ttlMs: number;
  /**
   * Milliseconds after that in which it is still served, while one refresh runs in the background. Never when one of
   * its tags was invalidated. Default: 0.
   */
  readonly graceMs?: number;
}

export interface GetOrSetOptions<T> extends Freshness {
  /** An entity, a string, or any value that can be serialized; equal values are the same key. */
  readonly key: unknown;
  /**
   * The classes of which any row that a flush writes makes the value stale, subclasses included. Rows of entities in
   * the value do so by themselves. Default: none.
   */
  readonly dependsOn?: readonly EntityClass[];
  /**
   * Makes the value, with an EntityManager of its own: with the caller's schema, filters and open transaction, but
   * nothing in memory. The ORM's own EntityManager stands for it meanwhile.
   */
  readonly factory: (em: EntityManager) => T | Promise<T>;
  /** Whose identity map receives the entities. Default: the request context's, as MikroORM has it. */
  readonly em?: EntityManager;
}

/** What has happened since the cache was built; each call is a hit, a stale or a miss. */
export interface CacheStats {
  /** Calls answered with a fresh value. */
  readonly hits: number;
  /** Calls answered within the grace period. */
  readonly stale: number;
  /** Calls that waited for a factory, be it another caller's. */
  readonly misses: number;
  /** Values made: for a miss, or behind a stale value. */
  readonly factoryCalls: number;
  /** Those behind a stale value. */
  readonly refreshes: number;
  /** Refreshes that failed and left the old value in place. */
  readonly failedRefreshes: number;
  /** Misses because a tag of the value was invalidated. */
  readonly invalidated: number;
  /** Misses because a row of the value is gone, or another release wrote it. */
  readonly unreadable: number;
}

/** What is counted. */
export type Counters = { -readonly [Name in keyof CacheStats]: CacheStats[Name] };
