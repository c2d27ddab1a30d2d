/**
 * graphile-worker: an engine for `Tasks`.
 *
 * @module mikro-orm-byref/graphile-worker
 * @packageDocumentation
 */
export { graphileWorkerEngine } from './engine.ts';
export type { GraphileRunnerOptions, GraphileWorkerEngineOptions } from './options.ts';
export type { GraphileHelpers, GraphileJob, PgClientLike, WorkerUtilsLike } from './worker-like.ts';
