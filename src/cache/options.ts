import type { EntityManager } from '@mikro-orm/core';
import { aFunction, type Check, check, oneOf } from '../check.ts';
import { ByReferenceError } from '../errors.ts';
import { DESERIALIZE_CHECKS, type Signed } from '../options.ts';
import { classes, type EntityType } from '../orm/entity-class.ts';

/** Every member has a default. */
export interface EntityCacheOptions {
  /**
   * True where no other process uses the cache, and nothing is lost without a bus: no warning.
   * @defaultValue false
   */
  readonly singleProcess?: boolean;
  /**
   * Told when a refresh behind a stale value fails, or the cache's store does; the visitor has a value all the same.
   * @defaultValue a process warning
   */
  readonly onError?: (error: unknown) => unknown;
  /**
   * Signs what is stored, with its key, its age and its tags; anything else in the store is a miss. An older value of
   * the same key can't be told from one that is still fresh.
   * @defaultValue as the serializer’s
   */
  readonly signed?: Signed;
}

/** How long a value is kept, and what makes it stale. */
export interface Freshness {
  /**
   * Milliseconds for which a value is fresh, by the clock of who made it; null: until something makes it stale. What
   * hangs on rows or classes is made anew after 30 days at the latest.
   */
  readonly ttlMs: number | null;
  /**
   * Milliseconds after that in which it is still served, while one refresh runs in the background. Never when one of
   * its tags was invalidated.
   * @defaultValue 0
   */
  readonly graceMs?: number;
}

/** Which of the values that are kept under one key. */
export interface Scoped {
  /**
   * What tells them apart: any value that can be serialized, null for none. Filters of `em.addFilter` are not among the
   * default, nor what conditions read elsewhere.
   * @defaultValue the schema, the filter parameters and the session context of `em`, so that one tenant is not served
   * what was made for another
   */
  readonly scope?: unknown;
  /**
   * Whose identity map receives the entities.
   * @defaultValue the request context's, as MikroORM has it
   */
  readonly em?: EntityManager;
}

/** What `getOrSet` takes: `{ key: ['home', user], ttlMs: 60_000, factory: (em) => … }`. */
export interface GetOrSetOptions<T> extends Freshness, Scoped {
  /** An entity, a string, or any value that can be serialized; equal values are the same key. */
  readonly key: unknown;
  /**
   * The classes of which any row that a flush writes makes the value stale, subclasses included. Rows of entities in
   * the value do so by themselves.
   * @defaultValue none
   */
  readonly dependsOn?: readonly EntityType[];
  /**
   * Makes the value, with an EntityManager of its own: with the caller's schema, filters and open transaction, but
   * nothing in memory, and past MikroORM's result cache. The ORM's own EntityManager stands for it meanwhile.
   */
  readonly factory: (em: EntityManager) => T | Promise<T>;
}

/** What has happened since the cache was built; each `get` and `getOrSet` is a hit, a stale or a miss. */
export interface CacheStats {
  /** Calls answered with a fresh value. */
  readonly hits: number;
  /** Calls answered within the grace period. */
  readonly stale: number;
  /** Calls that waited for a factory, be it another caller's, or found nothing. */
  readonly misses: number;
  /** Values made: for a miss, or behind a stale value. */
  readonly factoryCalls: number;
  /** Those behind a stale value. */
  readonly refreshes: number;
  /** Refreshes that failed and left the old value in place. */
  readonly failedRefreshes: number;
  /** Misses because a tag of the value was invalidated. */
  readonly invalidated: number;
  /** Misses because a row of the value is gone or has another version, another release wrote it, or nobody with a key. */
  readonly unreadable: number;
}

/** What is counted. */
export type Counters = { -readonly [Name in keyof CacheStats]: CacheStats[Name] };

export const aDuration: Check = [
  'milliseconds, above 0, or null',
  (value) => value === null || (typeof value === 'number' && value > 0 && Number.isFinite(value)),
];

export const aGracePeriod: Check = [
  'milliseconds',
  (value) => typeof value === 'number' && value >= 0 && Number.isFinite(value),
];

const SCOPE_CHECKS: Record<keyof Scoped, Check> = {
  scope: ['any value', () => true],
  em: DESERIALIZE_CHECKS.em,
};

const GET_OR_SET_CHECKS: Record<keyof GetOrSetOptions<unknown>, Check> = {
  ...SCOPE_CHECKS,
  key: ['any value', () => true],
  ttlMs: aDuration,
  graceMs: aGracePeriod,
  dependsOn: classes,
  factory: aFunction,
};

const CACHE_CHECKS: Record<keyof EntityCacheOptions, Check> = {
  singleProcess: oneOf(true, false),
  onError: aFunction,
  signed: DESERIALIZE_CHECKS.signed,
};

export function checkGetOrSetOptions(options: GetOrSetOptions<unknown>): void {
  check(options, GET_OR_SET_CHECKS, 'option ');
  checkLifetime(options, 'option ');
  if (options.factory === undefined) throw ByReferenceError.invalidOption('option factory', 'a function', undefined);
  if (options.key === undefined) throw noKey('option key');
}

export function checkScoped(key: unknown, options: Scoped): void {
  check(options, SCOPE_CHECKS, 'option ');
  if (key === undefined) throw noKey('key');
}

const noKey = (subject: string): ByReferenceError =>
  ByReferenceError.invalidOption(subject, 'any other value', undefined);

export const checkCacheOptions = (options: EntityCacheOptions): void => check(options, CACHE_CHECKS, 'option ');

export function checkLifetime({ ttlMs }: Freshness, prefix: string): void {
  if (ttlMs === undefined) throw ByReferenceError.invalidOption(`${prefix}ttlMs`, aDuration[0], undefined);
}
