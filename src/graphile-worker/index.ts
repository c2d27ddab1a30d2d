export { graphileWorkerEngine } from './engine.ts';
export type { GraphileWorkerEngineOptions } from './options.ts';
export type { GraphileHelpers, GraphileJob, PgClientLike, RunnerOptionsLike, WorkerUtilsLike } from './worker-like.ts';
