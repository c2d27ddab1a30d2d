/**
 * Values with entities in bentocache: a hit has the current rows.
 *
 * @module mikro-orm-byref/cache
 * @packageDocumentation
 */
export { Cached } from './cached.ts';
export { EntityCache } from './entity-cache.ts';
export type { BentoCacheLike } from './bento-like.ts';
export type { CachedDecorator, CachedOptions } from './cached.ts';
export type { CacheOperation } from './diagnostics.ts';
export type { CacheStats, EntityCacheOptions, Freshness, GetOrSetOptions, Scoped } from './options.ts';
