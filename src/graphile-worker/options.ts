import { type Check, check, isName, milliseconds, oneOf } from '../check.ts';
import { ByReferenceError } from '../errors.ts';
import type { NewJob, QueueSettings } from '../tasks/engine.ts';
import type { RunnerOptionsLike } from './worker-like.ts';

export interface GraphileWorkerEngineOptions {
  /**
   * How long a finished job can be asked for its state and result, in milliseconds; 0 keeps nothing: then a completed
   * job is gone as if it had never been. Default: 86,400,000, a day.
   */
  readonly keepResultsForMs?: number;
}

const OPTION_CHECKS: Record<keyof GraphileWorkerEngineOptions, Check> = { keepResultsForMs: milliseconds };

/** graphile-worker checks the values of its own options. */
const its: Check = ['what graphile-worker takes', () => true];

const RUNNER_CHECKS: Record<keyof RunnerOptionsLike, Check> = {
  connectionString: its,
  maxPoolSize: its,
  pgPool: its,
  schema: ['a name', isName],
  preset: its,
  pollInterval: its,
  logger: its,
  events: its,
  noHandleSignals: oneOf(true, false),
  noPreparedStatements: oneOf(true, false),
  useNodeTime: oneOf(true, false),
  forbiddenFlags: its,
  gracefulShutdownAbortTimeout: its,
  minResetLockedInterval: its,
  maxResetLockedInterval: its,
};

export function checkEngineOptions(runner: RunnerOptionsLike, options: GraphileWorkerEngineOptions): void {
  check(runner, RUNNER_CHECKS, 'runner option ');
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
export function schemaOf({ schema, preset }: RunnerOptionsLike): string {
  const { worker } = (preset ?? {}) as { readonly worker?: { readonly schema?: string } };
  return schema ?? worker?.schema ?? (process.env['GRAPHILE_WORKER_SCHEMA'] || 'graphile_worker');
}
