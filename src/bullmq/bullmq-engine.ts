import type { EntityManager } from '@mikro-orm/core';
import { type BulkJobOptions, type Job, Queue, type QueueOptions, type WorkerOptions } from 'bullmq';
import { ByReferenceError } from '../errors.ts';
import { requirePostgres } from '../orm/platform.ts';
import { transactionOf } from '../orm/transaction.ts';
import type { Engine, JobSnapshot, JobState, NewJob, QueueSettings, RunJobs, StoredJob } from '../tasks/engine.ts';
import { lockDedupeKeys } from '../tasks/dedupe-locks.ts';
import { checkPoolSize } from '../tasks/pool-size.ts';
import type { JsonObject, JsonValue } from '../wire/json.ts';
import { attemptsOf, EngineWorker, failureOf } from './engine-worker.ts';
import { InFlight } from './in-flight.ts';
import type { BullMqEngineOptions } from './engine-options.ts';
import { clientOf } from './redis-client.ts';
import { storedInPostgres } from './stored-in-postgres.ts';
import { storedInRedis } from './stored-in-redis.ts';
import { ENGINE, isPool, TransactionPool } from './transaction-pool.ts';

/** BullMQ's priorities are 1 to 2,097,151, the smallest first. */
const MIDDLE_PRIORITY = 2 ** 20;

const KEPT_SECONDS = 7 * 24 * 60 * 60;

const STATES: Readonly<Record<string, JobState>> = {
  waiting: 'waiting',
  prioritized: 'waiting',
  delayed: 'waiting',
  'waiting-children': 'waiting',
  active: 'active',
  completed: 'completed',
  failed: 'failed',
};

/** A job that is to be enqueued, or was before, by the clock of its producer. */
export interface QueuedJob extends NewJob {
  readonly enqueuedAt?: number;
}

/** Jobs by BullMQ itself, on Redis or on its PostgreSQL backend. */
export class BullMqEngine implements Engine {
  readonly isTransactional: boolean;
  readonly #options: BullMqEngineOptions;
  readonly #pool: TransactionPool | undefined;
  readonly #queues = new Map<string, Queue>();
  readonly #workers: EngineWorker[] = [];
  readonly #sending = new InFlight();
  /** Told of what goes wrong with a connection; in a process that works no queue, Node. */
  #onError: (error: unknown) => void = (error) => process.emitWarning(error as Error);

  constructor(options: BullMqEngineOptions) {
    const { connection, backend } = options;
    if (isPool(connection) !== (backend !== undefined)) {
      const expected = 'a pg.Pool together with the option backend, or a connection to Redis without';
      throw ByReferenceError.invalidOption('option connection', expected, connection);
    }
    this.#options = options;
    this.#pool = isPool(connection) ? new TransactionPool(connection) : undefined;
    this.isTransactional = this.#pool !== undefined;
  }

  checkDatabase(em: EntityManager): void {
    if (this.#pool === undefined) return;
    requirePostgres(em, ENGINE);
    this.#pool.database.serve(em);
  }

  check({ priority, queue }: NewJob): void {
    checkName(queue);
    if (Math.abs(priority) >= MIDDLE_PRIORITY) {
      throw ByReferenceError.invalidOption('option priority', `below ${MIDDLE_PRIORITY} either way`, priority);
    }
  }

  async enqueue(jobs: readonly QueuedJob[], em: EntityManager | undefined): Promise<readonly string[]> {
    const transaction = em !== undefined && transactionOf(em) !== undefined ? em : undefined;
    const ids: string[] = [];
    for (const [name, own] of Map.groupBy(jobs, (job) => job.queue.name)) {
      const queue = this.#queue({ name });
      const add = (list: readonly QueuedJob[]): Promise<Job[]> => queue.addBulk(list.map((job) => bulkJob(job)));
      const addInTransaction = async (pool: TransactionPool, of: EntityManager): Promise<Job[]> => {
        const list = await lockDedupeKeys(own, of);
        return pool.run(of, () => add(list));
      };
      const pool = this.#pool;
      const adding = pool === undefined || transaction === undefined ? add(own) : addInTransaction(pool, transaction);
      const added = await this.#sending.track(adding);
      ids.push(...added.map((job) => job.id!));
    }
    return ids;
  }

  async schedule(queue: QueueSettings, key: string, cron: string, data: JsonObject, timeZone: string): Promise<void> {
    const template = { name: queue.name, data, opts: { priority: MIDDLE_PRIORITY, ...retriesOf(queue) } };
    await this.#queue(queue).upsertJobScheduler(key, { pattern: cron, tz: timeZone }, template);
  }

  async unschedule(queue: QueueSettings, key: string): Promise<void> {
    await this.#queue(queue).removeJobScheduler(key);
  }

  async cancel(settings: QueueSettings, id: string, em: EntityManager | undefined): Promise<boolean> {
    const queue = this.#queue(settings);
    const isWaiting = async (): Promise<boolean> => STATES[await queue.getJobState(id)] === 'waiting';
    const remove = async (): Promise<boolean> => {
      if (!(await isWaiting())) return false;
      try {
        return (await queue.remove(id)) === 1;
      } catch (error) {
        // A worker has taken it meanwhile.
        if (await isWaiting()) throw error;
        return false;
      }
    };
    return this.#pool === undefined || em === undefined ? remove() : this.#pool.run(em, remove);
  }

  async find(settings: QueueSettings, id: string): Promise<JobSnapshot | undefined> {
    const queue = this.#queue(settings);
    // The state first: what a job has left when it ends is there by then.
    const state = STATES[await queue.getJobState(id)];
    const job = (await queue.getJob(id)) as Job | undefined;
    if (job === undefined || state === undefined) return undefined;
    const output = (state === 'failed' ? failureOf(job.failedReason, job.stacktrace) : job.returnvalue) as JsonValue;
    const isRunning = state === 'active' && job.finishedOn === undefined;
    return { state, attempt: attemptsOf(job) + (isRunning ? 1 : 0), output: output ?? undefined };
  }

  /** On Redis: has `idOf` give, for the id of a job that was dropped, the one that it was dropped for. */
  async merge(settings: QueueSettings, id: string, first: string): Promise<void> {
    const queue = this.#queue(settings);
    await (await clientOf(queue)).set(mergedKey(queue, id), first, 'EX', KEPT_SECONDS);
  }

  async idOf(settings: QueueSettings, id: string): Promise<string> {
    const queue = this.#queue(settings);
    return (await (await clientOf(queue)).get(mergedKey(queue, id))) ?? id;
  }

  /** What happens in a process that works no queue. */
  onError(onError: (error: unknown) => void): void {
    this.#onError = onError;
  }

  async work(queue: QueueSettings, run: RunJobs, onError: (error: unknown) => void): Promise<void> {
    checkName(queue);
    const { connection } = this.#options;
    if (isPool(connection)) checkPoolSize('option connection', connection, this.#workers.length);
    await this.#pool?.reach();
    await this.#pool?.database.requireServed();
    const options = { ...this.#options.queue, ...this.#options.worker, connection: this.#connection } as WorkerOptions;
    const worker = new EngineWorker(queue, run, options, this.#pool, ...this.#backend);
    worker.on('error', onError);
    this.#onError = onError;
    this.#workers.push(worker);
    try {
      await worker.waitUntilReady();
    } catch (error) {
      // It would look for jobs for good, on a connection that BullMQ has given up.
      this.#workers.splice(this.#workers.indexOf(worker), 1);
      await worker.close();
      throw error;
    }
  }

  stored(): AsyncIterable<readonly StoredJob[]> {
    const { connection, queue } = this.#options;
    return isPool(connection) ? storedInPostgres(connection) : storedInRedis({ ...queue, connection });
  }

  async requeue(name: string, ids: readonly string[]): Promise<number> {
    const queue = this.#queue({ name });
    const retried = await Promise.all(ids.map((id) => retryFailed(queue, id)));
    return retried.filter(Boolean).length;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.splice(0).map((worker) => worker.close()));
    await this.#sending.landed();
    const queues = [...this.#queues.values()];
    this.#queues.clear();
    await Promise.all(queues.map((queue) => queue.close()));
  }

  get #connection(): unknown {
    return this.#pool?.connection ?? this.#options.connection;
  }

  get #backend(): unknown[] {
    return this.#options.backend === undefined ? [] : [this.#options.backend];
  }

  #queue({ name }: Pick<QueueSettings, 'name'>): Queue {
    const open = this.#queues.get(name);
    if (open !== undefined) return open;
    const { queue: options } = this.#options;
    const defaultJobOptions = {
      removeOnComplete: { age: KEPT_SECONDS },
      removeOnFail: { age: KEPT_SECONDS },
      ...options?.defaultJobOptions,
    };
    const settled = { ...options, defaultJobOptions, connection: this.#connection } as QueueOptions;
    const queue = new Queue(name, settled, ...(this.#backend as []));
    queue.on('error', (error) => this.#onError(error));
    this.#queues.set(name, queue);
    return queue;
  }
}

const mergedKey = (queue: Queue, id: string): string => queue.toKey(`mikro-orm-byref:merged:${id}`);

/** What BullMQ refuses, which would be too late after a commit. */
function checkName({ name }: Pick<QueueSettings, 'name'>): void {
  if (name.includes(':')) throw ByReferenceError.invalidOption('option queue', 'a name without a colon', name);
}

function bulkJob({ id, queue, data, delayMs, priority, dedupeKey, enqueuedAt }: QueuedJob): {
  name: string;
  data: JsonObject;
  opts: BulkJobOptions;
} {
  const opts = {
    jobId: id,
    delay: delayMs,
    priority: MIDDLE_PRIORITY - priority,
    ...retriesOf(queue),
    ...(dedupeKey !== undefined && { deduplication: { id: dedupeKey } }),
    ...(enqueuedAt !== undefined && { timestamp: enqueuedAt }),
  };
  return { name: queue.name, data, opts };
}

/** False for a job that is gone, or not failed any more. */
async function retryFailed(queue: Queue, id: string): Promise<boolean> {
  const job = (await queue.getJob(id)) as Job | undefined;
  try {
    await job?.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true });
    return job !== undefined;
  } catch (error) {
    if ((await queue.getJobState(id)) === 'failed') throw error;
    return false;
  }
}

function retriesOf({ retries }: QueueSettings): Pick<BulkJobOptions, 'attempts' | 'backoff'> {
  const { limit, delayMs, backoff } = retries;
  return { attempts: limit + 1, backoff: { type: backoff ? 'exponential' : 'fixed', delay: delayMs } };
}
