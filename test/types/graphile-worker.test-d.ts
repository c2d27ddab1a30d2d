/** Compiled, never run: graphile-worker's own options, helpers and utilities are what the engine asks for. */
import type { JobHelpers, RunnerOptions, WorkerUtils } from 'graphile-worker';
import { graphileWorkerEngine } from 'mikro-orm-byref/graphile-worker';
import type { GraphileHelpers, GraphileRunnerOptions, WorkerUtilsLike } from 'mikro-orm-byref/graphile-worker';
import type { Engine } from 'mikro-orm-byref/tasks';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function expectType<Expected>(): <Actual>(actual: Actual, same: Equal<Actual, Expected>) => void;

declare const options: RunnerOptions;
declare const helpers: JobHelpers;
declare const utils: WorkerUtils;

{
  const given: GraphileRunnerOptions = options;
  expectType<Engine>()(graphileWorkerEngine(given), true);
  expectType<GraphileHelpers['job']>()((helpers satisfies GraphileHelpers as GraphileHelpers).job, true);
  const tools: WorkerUtilsLike = utils;
  expectType<void | PromiseLike<void>>()(tools.release(), true);
}

// Its options are graphile-worker's own, but for those that are of Tasks.
{
  graphileWorkerEngine({ connectionString: 'postgres://', pollInterval: 500 }, { keepResultsForMs: 0 });
  // @ts-expect-error no such option
  graphileWorkerEngine({ polInterval: 500 });
  // @ts-expect-error tasks are defined with Tasks
  graphileWorkerEngine({ taskList: {} });
  // @ts-expect-error concurrency is that of each task
  graphileWorkerEngine({ concurrency: 5 });
}
