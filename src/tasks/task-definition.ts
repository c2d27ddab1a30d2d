import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import type { TaskReviveOptions } from '../options.ts';
import { requireRowLocks } from '../reviving/row-locks.ts';
import { completesInTransaction, type Engine, type QueueSettings, type Retries } from './engine.ts';
import { type BatchOptions, checkTaskOptions, type DeclareOptions, type JobContext, type TaskOptions } from './task.ts';

/** A task with its options settled. */
export interface TaskDefinition {
  readonly name: string;
  readonly queue: QueueSettings;
  readonly isBatch: boolean;
  readonly transactional: boolean;
  readonly retryMissingForMs: number;
  readonly keepsResult: boolean;
  readonly revive: TaskReviveOptions;
  /** Calls the handler for the jobs of one call; results in their order. */
  handle(args: unknown[], jobs: readonly JobContext[]): Promise<readonly unknown[]>;
}

const RETRIES: Retries = { limit: 5, delayMs: 1_000, backoff: true };
const BATCH = 100;

export type AnyHandler = (args: never, job: never) => unknown;

/** What a producer and a worker of a task have to agree on. */
export function queueOf(name: string, { queue = name, retries }: DeclareOptions): QueueSettings {
  return { name: queue, retries: { ...RETRIES, ...retries }, concurrency: 1, batch: 1 };
}

/** Throws E_INVALID_OPTION. */
export function defineTask(
  name: string,
  handler: AnyHandler,
  options: TaskOptions & Partial<BatchOptions>,
): TaskDefinition {
  checkTaskOptions(name, handler, options);
  const { retryMissingForMs = 10_000, concurrency = 1, transactional = false, result: keepsResult = true } = options;
  const { batch, as, only, missing, populate, filters, lockMode, drift } = options;
  const isBatch = batch !== undefined;
  const upgrade = options.upgrade && [options.upgrade].flat();
  const revive = { as, upgrade, only, missing, populate, filters, lockMode, drift };
  return {
    name,
    queue: { ...queueOf(name, options), concurrency, batch: batch === true ? BATCH : (batch ?? 1) },
    isBatch,
    transactional,
    retryMissingForMs,
    keepsResult,
    revive: Object.fromEntries(Object.entries(revive).filter(([, value]) => value !== undefined)),
    async handle(args, jobs) {
      if (!isBatch) return [await handler(args[0] as never, jobs[0] as never)];
      return ((await handler(args as never, jobs as never)) as readonly unknown[] | undefined) ?? [];
    },
  };
}

/** Throws E_INVALID_OPTION for a task whose jobs nobody could read, and E_UNSUPPORTED for what the engine or the database can't do. */
export function refuseUnservable(
  { name, revive, transactional }: TaskDefinition,
  serializer: EntitySerializer,
  engine: Engine,
): void {
  serializer.refuseWrongOptions(revive);
  if (revive.lockMode !== undefined) {
    requireRowLocks(serializer.orm.em, revive.lockMode);
    if (!transactional)
      throw ByReferenceError.invalidOption('option lockMode', 'transactional: true beside it', revive.lockMode);
  }
  if (transactional && !completesInTransaction(engine)) {
    throw ByReferenceError.unsupported(
      `The option transactional of the task "${name}"`,
      'take an engine whose jobs are in the application’s database',
    );
  }
}
