export { graphileWorkerEngine } from './engine.ts';
export type { GraphileRunnerOptions, GraphileWorkerEngineOptions } from './options.ts';
export type { GraphileHelpers, GraphileJob, PgClientLike, WorkerUtilsLike } from './worker-like.ts';
