import { aFunction, check, type Check, classes, DESERIALIZE_CHECKS, isFunction, oneOf } from '../check-options.ts';
import { ByReferenceError } from '../errors.ts';
import type { CachedOptions } from './cached.ts';
import type { EntityCacheOptions, GetOrSetOptions } from './options.ts';
import { STAMP_MS } from './tag-stamps.ts';

const aDuration: Check = [
  'milliseconds, above 0',
  (value) => typeof value === 'number' && value > 0 && Number.isFinite(value),
];
const aGracePeriod: Check = [
  'milliseconds',
  (value) => typeof value === 'number' && value >= 0 && Number.isFinite(value),
];

const GET_OR_SET_CHECKS: Record<keyof GetOrSetOptions<unknown>, Check> = {
  key: ['any value', () => true],
  ttlMs: aDuration,
  graceMs: aGracePeriod,
  dependsOn: classes,
  factory: aFunction,
  em: DESERIALIZE_CHECKS.em,
};

const CACHED_CHECKS: Record<keyof CachedOptions, Check> = {
  key: aFunction,
  ttlMs: aDuration,
  graceMs: aGracePeriod,
  dependsOn: ['an array of entity classes, or a function to one', (value) => isFunction(value) || classes[1](value)],
  cache: aFunction,
};

const CACHE_CHECKS: Record<keyof EntityCacheOptions, Check> = {
  singleProcess: oneOf(true, false),
  onError: aFunction,
};

export function checkGetOrSetOptions(options: GetOrSetOptions<unknown>): void {
  check(options, GET_OR_SET_CHECKS, 'option ');
  checkLifetime(options, 'option ');
  if (options.factory === undefined) throw ByReferenceError.invalidOption('option factory', 'a function', undefined);
  if (options.key === undefined) throw ByReferenceError.invalidOption('option key', 'any other value', undefined);
}

export function checkCachedOptions(options: CachedOptions): void {
  check(options, CACHED_CHECKS, '@Cached option ');
  checkLifetime(options, '@Cached option ');
}

export const checkCacheOptions = (options: EntityCacheOptions): void => check(options, CACHE_CHECKS, 'option ');

function checkLifetime({ ttlMs, graceMs = 0 }: { ttlMs: number; graceMs?: number }, prefix: string): void {
  if (ttlMs === undefined) throw ByReferenceError.invalidOption(`${prefix}ttlMs`, aDuration[0], undefined);
  if (ttlMs + graceMs > STAMP_MS) {
    throw ByReferenceError.invalidOption(`${prefix}ttlMs`, 'at most 30 days with graceMs', ttlMs + graceMs);
  }
}
