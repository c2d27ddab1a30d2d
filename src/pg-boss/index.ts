/**
 * pg-boss: an engine for `Tasks`, and pg-boss's own API with its data by reference.
 *
 * @module mikro-orm-byref/pg-boss
 * @packageDocumentation
 */
export { byReference } from './by-reference.ts';
export { pgBossEngine } from './engine.ts';
export type { AdapterOptions } from '../tasks/adapter-options.ts';
export type { JobSigning } from '../tasks/seal.ts';
export type { BossDatabase, BossJob, BossResult, FoundBossJob, PgBossLike } from './boss-like.ts';
export type { PgBossEngineOptions } from './engine.ts';
