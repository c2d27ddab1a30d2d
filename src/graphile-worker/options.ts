import type { RunnerOptions } from 'graphile-worker';
import { type Check, check, isName, isObject, milliseconds } from '../check.ts';
import { ByReferenceError } from '../errors.ts';
import type { NewJob, QueueSettings } from '../tasks/engine.ts';

/** What the engine takes beside graphile-worker's own options. */
export interface GraphileWorkerEngineOptions {
  /**
   * How long a finished job can be asked for its state and result, in milliseconds; 0 keeps nothing: then a completed
   * job is gone as if it had never been.
   * @defaultValue 86,400,000, a day
   */
  readonly keepResultsForMs?: number;
}

const OPTION_CHECKS: Record<keyof GraphileWorkerEngineOptions, Check> = { keepResultsForMs: milliseconds };

/** What Tasks gives graphile-worker: its tasks, their schedules and how many run at once. */
const GIVEN = ['taskList', 'taskDirectory', 'crontab', 'crontabFile', 'parsedCronItems', 'concurrency'] as const;

/**
 * What graphile-worker's `run` takes, passed on as it is. With a `connectionString` each queue's runner has a pool of its
 * own, of `maxPoolSize`; with a `pgPool` each queue that is worked holds one of its connections to listen. `schema` is by
 * default that of the preset itself, then of GRAPHILE_WORKER_SCHEMA, then `graphile_worker`.
 */
export type GraphileRunnerOptions = Omit<RunnerOptions, (typeof GIVEN)[number]>;

export function checkEngineOptions(runner: GraphileRunnerOptions, options: GraphileWorkerEngineOptions): void {
  if (!isObject(runner)) throw ByReferenceError.invalidOption('runner options', 'an object', runner);
  for (const name of GIVEN) {
    const value = (runner as RunnerOptions)[name];
    if (value !== undefined) {
      throw ByReferenceError.invalidOption(`runner option ${name}`, 'left out, as Tasks gives it', value);
    }
  }
  const { schema } = runner;
  if (schema !== undefined && !isName(schema)) {
    throw ByReferenceError.invalidOption('runner option schema', 'a name', schema);
  }
  check(options, OPTION_CHECKS, 'option ');
}

/** What graphile-worker's columns can't hold is refused before a statement with it aborts the caller's transaction. */
const SMALLINT = 32_767;

const LONGEST_IDENTIFIER = 128;

export function checkQueue({ name, retries }: QueueSettings): void {
  if (name.length > LONGEST_IDENTIFIER)
    throw ByReferenceError.invalidOption('option queue', `at most ${LONGEST_IDENTIFIER} characters`, name);
  if (retries.limit >= SMALLINT)
    throw ByReferenceError.invalidOption('option retries.limit', `less than ${SMALLINT}`, retries.limit);
}

export function checkJob({ queue, priority }: NewJob): void {
  checkQueue(queue);
  if (Math.abs(priority) > SMALLINT)
    throw ByReferenceError.invalidOption('option priority', `within ±${SMALLINT}`, priority);
}

/** Given to graphile-worker wherever it is called, so that it and this engine can't mean two. */
export function schemaOf({ schema, preset }: GraphileRunnerOptions): string {
  return schema ?? preset?.worker?.schema ?? (process.env['GRAPHILE_WORKER_SCHEMA'] || 'graphile_worker');
}
