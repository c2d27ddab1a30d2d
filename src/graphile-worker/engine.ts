import type { EntityManager } from '@mikro-orm/core';
import {
  makeWorkerUtils,
  type ParsedCronItem,
  type Runner,
  type RunnerOptions,
  run as startRunner,
} from 'graphile-worker';
import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { once } from '../once.ts';
import { requirePostgres } from '../orm/platform.ts';
import { transactionOf } from '../orm/transaction.ts';
import type { Engine, JobSnapshot, NewJob, QueueSettings, RunJobs, StoredJob } from '../tasks/engine.ts';
import { lockDedupeKeys } from '../tasks/dedupe-locks.ts';
import { checkPoolSize } from '../tasks/pool-size.ts';
import { SameDatabase } from '../tasks/same-database.ts';
import type { JsonObject } from '../wire/json.ts';
import { cronItem } from './cron.ts';
import { inTransaction, inTransactionOf, outside } from './database.ts';
import { addJobs, introduceQueue, removeWaiting, requeueFailed } from './enqueueing.ts';
import { findJob } from './finding.ts';
import { Finishing } from './finishing.ts';
import { LastingRunner } from './lasting-runner.ts';
import {
  checkEngineOptions,
  checkJob,
  checkQueue,
  type GraphileRunnerOptions,
  type GraphileWorkerEngineOptions,
  schemaOf,
} from './options.ts';
import { QueueWorker } from './queue-worker.ts';
import { releaseOnce } from './release-once.ts';
import { createTables, type Schemas, schemasOf } from './schemas.ts';
import { storedJobs } from './stored.ts';
import type { WorkerUtilsLike } from './worker-like.ts';

/**
 * Jobs in PostgreSQL by graphile-worker 0.18: part of the transaction that enqueues them, and of the one that their
 * handler writes in (`transactional: true`). `runner` is what its `run` takes: `{ connectionString }` or `{ pgPool }`,
 * the database of the entities. A queue's name is its jobs' task identifier, their payload the data and nothing else,
 * and a job's id its `job_key`: graphile-worker's own functions find it by that.
 *
 * Each queue that is worked has a runner of its own, with one connection that listens. A schedule lives in the
 * processes that declare it, as a crontab does: call `schedule` in each one that works the queue. Its clock is UTC. A
 * batch is what one fetch brings; up to as many jobs more are locked ahead while it runs. The signal of a job is that
 * of graphile-worker: aborted when its runner is shut down and does not end in time.
 *
 * How a job ended is kept in a schema of the engine's own, `graphile_worker_byref`, which is made on first use: written
 * by the statement that deletes the job, so that the two agree whatever crashes. A discarded job is left permanently
 * failed without having been retried. The job of a killed worker is run again after four hours, which graphile-worker
 * does not let be configured, or once its `forceUnlockWorkers` has been called with what the job is `locked_by`: that
 * is the id of a pool, one for each queue that a process works.
 * @throws E_INVALID_OPTION.
 */
export function graphileWorkerEngine(runner: GraphileRunnerOptions, options: GraphileWorkerEngineOptions = {}): Engine {
  checkEngineOptions(runner, options);
  return new GraphileWorkerEngine(runner, options.keepResultsForMs ?? 86_400_000);
}

class GraphileWorkerEngine implements Engine {
  readonly isTransactional = true;
  readonly #options: GraphileRunnerOptions & { readonly schema: string };
  readonly #schemas: Schemas;
  readonly #finishing: Finishing;
  readonly #open = once(() => this.#connect());
  readonly #introduce = once(async (queue: string) => {
    await introduceQueue(outside(await this.#open()), this.#schemas, queue, randomUUID());
  });
  /** graphile-worker looks into a runner's list every minute. */
  readonly #schedules = new Map<string, ParsedCronItem[]>();
  readonly #database = new SameDatabase('graphile-worker', async (sql) => outside(await this.#open())(sql));
  readonly #started: LastingRunner[] = [];

  constructor(options: GraphileRunnerOptions, keepResultsForMs: number) {
    if (options.pgPool !== undefined) releaseOnce(options.pgPool);
    this.#options = { ...options, schema: schemaOf(options) };
    this.#schemas = schemasOf(this.#options.schema);
    this.#finishing = new Finishing(this.#schemas, keepResultsForMs);
  }

  checkDatabase(em: EntityManager): void {
    requirePostgres(em, 'graphile-worker');
    this.#database.serve(em);
  }

  async enqueue(jobs: readonly NewJob[], em: EntityManager | undefined): Promise<readonly string[]> {
    if (em !== undefined) requirePostgres(em, 'graphile-worker');
    const transaction = em !== undefined && transactionOf(em) !== undefined ? em : undefined;
    if (transaction !== undefined) await this.#database.require(transaction);
    for (const job of jobs) checkJob(job);
    for (const { queue } of jobs) await this.#introduce(queue.name);
    if (transaction !== undefined) {
      return addJobs(inTransactionOf(transaction), this.#schemas, await lockDedupeKeys(jobs, transaction));
    }
    return inTransaction(await this.#open(), (execute) => addJobs(execute, this.#schemas, jobs));
  }

  async schedule(queue: QueueSettings, key: string, cron: string, data: JsonObject, timeZone: string): Promise<void> {
    const item = cronItem(queue, key, cron, data, timeZone);
    const items = this.#schedulesOf(queue);
    const before = items.findIndex(({ identifier }) => identifier === item.identifier);
    items.splice(before === -1 ? items.length : before, 1, item);
  }

  async unschedule(queue: QueueSettings, key: string): Promise<void> {
    const items = this.#schedulesOf(queue);
    const { identifier } = cronItem(queue, key, '* * * * *', {}, 'UTC');
    const at = items.findIndex((item) => item.identifier === identifier);
    if (at !== -1) items.splice(at, 1);
  }

  async cancel(_queue: QueueSettings, id: string, em: EntityManager | undefined): Promise<boolean> {
    const isInTransaction = em !== undefined && transactionOf(em) !== undefined;
    return removeWaiting(isInTransaction ? inTransactionOf(em) : outside(await this.#open()), this.#schemas, id);
  }

  async find(_queue: QueueSettings, id: string): Promise<JobSnapshot | undefined> {
    return findJob(outside(await this.#open()), this.#schemas, id);
  }

  async work(queue: QueueSettings, run: RunJobs, onError: (error: unknown) => void): Promise<void> {
    checkPoolSize('runner option pgPool', this.#options.pgPool, this.#started.length);
    checkQueue(queue);
    await this.#introduce(queue.name);
    await this.#database.requireServed();
    const worker = new QueueWorker(queue, run, outside(await this.#open()), this.#finishing, onError);
    const events = this.#options.events ?? new EventEmitter();
    const start = (): Promise<Runner> =>
      startRunner(
        { ...this.#graphileOptions(queue), events, concurrency: queue.concurrency * queue.batch },
        { [queue.name]: (_payload, helpers) => worker.work(helpers) },
        this.#schedulesOf(queue),
      );
    this.#started.push(await LastingRunner.start({ worker, events, start, onError }));
  }

  stored(em: EntityManager): AsyncIterable<readonly StoredJob[]> {
    return storedJobs(em, this.#schemas);
  }

  async requeue(_queue: string, ids: readonly string[]): Promise<number> {
    return requeueFailed(outside(await this.#open()), this.#schemas, ids);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#started.splice(0).map((runner) => runner.stop()));
    await (await this.#open.forget())?.release();
  }

  async #connect(): Promise<WorkerUtilsLike> {
    const utils = await makeWorkerUtils(this.#options);
    try {
      await inTransaction(utils, (execute) => createTables(execute, this.#schemas));
      return utils;
    } catch (error) {
      await utils.release();
      throw error;
    }
  }

  #schedulesOf({ name }: QueueSettings): ParsedCronItem[] {
    const items = this.#schedules.get(name) ?? [];
    this.#schedules.set(name, items);
    return items;
  }

  #graphileOptions({ batch, concurrency }: QueueSettings): RunnerOptions {
    const { preset } = this.#options;
    const worker = {
      // Only so does a runner that stops wait until its last jobs are written, and bear it when that fails.
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
      // Hands out what one fetch brings at once.
      ...(batch > 1 && { localQueue: { size: batch * concurrency } }),
    };
    const extended = { extends: preset === undefined ? [] : [preset], worker };
    return { ...this.#options, preset: extended };
  }
}
