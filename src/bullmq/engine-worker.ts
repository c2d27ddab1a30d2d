import type { EntityManager } from '@mikro-orm/core';
import { type Job, UnrecoverableError, Worker, type WorkerOptions } from 'bullmq';
import { Batches } from '../tasks/batches.ts';
import type { JobFailure, Outcome, QueueSettings, ReceivedJob, RunJobs } from '../tasks/engine.ts';
import { postponedMs } from '../tasks/outcome.ts';
import type { JsonObject } from '../wire/json.ts';
import { delayJob } from './store-away.ts';
import type { TransactionPool } from './transaction-pool.ts';

/** BullMQ fetches jobs one after the other. */
const IDLE_MS = 20;

/** BullMQ's Worker for one queue of tasks. */
export class EngineWorker extends Worker {
  readonly #pool: TransactionPool | undefined;
  /** Jobs that were completed in the transaction of their handler. */
  readonly #completed = new WeakSet<Job>();

  constructor(
    queue: QueueSettings,
    run: RunJobs,
    options: WorkerOptions,
    pool: TransactionPool | undefined,
    ...backend: unknown[]
  ) {
    const { batch: size, concurrency } = queue;
    const batches = new Batches<ReceivedJob, Outcome>({ size, concurrency, idleMs: IDLE_MS }, run);
    const process = async (job: Job, token: string | undefined, signal: AbortSignal | undefined): Promise<unknown> => {
      // From here on an equal job is one more: this one may have read its rows before the other's were written. While
      // the transaction of an equal one is open this waits for it.
      if (job.deduplicationId !== undefined) await job.removeDeduplicationKey();
      const outcome = await batches.add(this.#received(job, token ?? '', signal));
      if (outcome.status === 'completed') return outcome.output ?? null;
      if (outcome.status === 'retry' && outcome.delayMs !== undefined)
        job.opts.backoff = { type: 'fixed', delay: outcome.delayMs };
      if (outcome.status === 'postpone') return delayJob(job, postponedMs(looksAt(job)), token);
      throw errorOf(outcome.error, outcome.status === 'discard');
    };
    const settled = {
      // A worker that dies is no fault of the job.
      maxStalledCount: Math.max(1, queue.retries.limit),
      ...options,
      concurrency: size * concurrency,
    };
    super(queue.name, process, settled, ...(backend as []));
    this.#pool = pool;
  }

  #received(job: Job, token: string, signal = new AbortController().signal): ReceivedJob {
    const received = {
      id: job.id!,
      name: job.name,
      data: job.data as unknown,
      attempt: attemptsOf(job) + 1,
      enqueuedAt: new Date(job.timestamp),
      signal,
    };
    const pool = this.#pool;
    if (pool === undefined) return received;
    return { ...received, complete: (em, output) => this.#complete(pool, em, job, token, output) };
  }

  async #complete(
    pool: TransactionPool,
    em: EntityManager,
    job: Job,
    token: string,
    output: JsonObject | undefined,
  ): Promise<void> {
    // A copy, as the transaction may still be rolled back, and the job be given another attempt.
    const copy = Object.create(job) as Job;
    await pool.run(em, () => copy.moveToCompleted(output ?? null, token, false));
    this.#completed.add(job);
  }

  /** What its handler's transaction has completed needs no more than to be told. */
  protected override async handleCompleted(...args: Parameters<Worker['handleCompleted']>) {
    const [result, job] = args;
    if (!this.#completed.has(job)) return super.handleCompleted(...args);
    this.emit('completed', job, result, 'active');
    return undefined as never;
  }
}

/** How often a job has been begun, by attempts that ended and by workers that died; not what was postponed. */
export const attemptsOf = ({ attemptsMade, stalledCounter }: Job): number => attemptsMade + stalledCounter;

/** This one, and those before it that were postponed. */
const looksAt = (job: Job): number => job.attemptsStarted - attemptsOf(job);

/**
 * A failure as the error that BullMQ keeps: its message, and a stack whose last line says the rest, for people and for
 * `failureOf`.
 */
function errorOf(failure: JobFailure, isPermanent: boolean): Error {
  const { message, stack, ...facts } = failure;
  const error = isPermanent ? new UnrecoverableError(message) : new Error(message);
  const lines = typeof stack === 'string' ? stack : `${failure.name}: ${message}`;
  error.stack = `${lines}\n    ${JSON.stringify(facts)}`;
  return error;
}

/** The failure that a job of BullMQ was ended with; BullMQ's own reasons are messages alone. */
export function failureOf(message: string | undefined, stacktrace: readonly string[] | null): JobFailure {
  const stack = stacktrace?.at(-1);
  const facts = stack?.slice(stack.lastIndexOf('\n') + 1).trim();
  // A job that BullMQ itself has ended may have the stack of an earlier attempt.
  if (message === undefined || !stack?.includes(message) || !facts?.startsWith('{"name":')) {
    return { name: 'Error', message: message ?? 'it left no reason' };
  }
  return { ...(JSON.parse(facts) as JobFailure), message };
}
