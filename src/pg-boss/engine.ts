import type { EntityManager } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import { once } from '../once.ts';
import { requirePostgres } from '../orm/platform.ts';
import { transactionOf } from '../orm/transaction.ts';
import type {
  Engine,
  JobSnapshot,
  JobState,
  NewJob,
  Outcome,
  QueueSettings,
  ReceivedJob,
  RunJobs,
  StoredJob,
} from '../tasks/engine.ts';
import { lockDedupeKeys } from '../tasks/dedupe-locks.ts';
import { onceWritten } from '../tasks/once-written.ts';
import { takenOver } from '../tasks/outcome.ts';
import { SameDatabase } from '../tasks/same-database.ts';
import type { JsonObject, JsonValue } from '../wire/json.ts';
import { storedJobs } from './stored.ts';
import { type BossDatabase, type BossJob, type BossResult, databaseOf, type PgBossLike } from './boss-like.ts';

/** How the engine works its queues. */
export interface PgBossEngineOptions {
  /**
   * Seconds between looks at an idle queue, as pg-boss counts them; at least 0.5.
   * @defaultValue pg-boss's own: 2
   */
  readonly pollingIntervalSeconds?: number;
  /**
   * Seconds after which a job whose worker is gone is run again.
   * @defaultValue pg-boss's own: 900
   */
  readonly expireInSeconds?: number;
}

/**
 * Jobs in PostgreSQL by pg-boss 12: part of the transaction that enqueues them, and of the one that their handler
 * writes in (`transactional: true`). The instance is the application's own, to configure, start and stop; its queues
 * are made here, under the names of the tasks' queues.
 *
 * A discarded job is `failed` and in the queue's dead letter queue, where there is one, without having been retried.
 */
export function pgBossEngine(boss: PgBossLike, options: PgBossEngineOptions = {}): Engine {
  return new PgBossEngine(boss, options);
}

/** While a job of a key is in it and waits, another one of that key is refused. */
const POLICY = 'short';

const STATES: Readonly<Record<string, JobState>> = {
  created: 'waiting',
  retry: 'waiting',
  active: 'active',
  completed: 'completed',
  cancelled: 'failed',
  failed: 'failed',
};

class PgBossEngine implements Engine {
  readonly isTransactional = true;
  readonly #boss: PgBossLike;
  readonly #options: PgBossEngineOptions;
  /** Makes a queue, and has pg-boss know it before a transaction is open: it would ask on another connection. */
  readonly #prepare = once((name: string) => this.#makeQueue(name));
  readonly #database: SameDatabase;
  readonly #workers: { readonly queue: string; readonly id: string }[] = [];
  #onError: ((error: unknown) => void) | undefined;

  constructor(boss: PgBossLike, options: PgBossEngineOptions) {
    this.#boss = boss;
    this.#options = options;
    this.#database = new SameDatabase('pg-boss', async (sql) => (await boss.getDb().executeSql(sql)).rows);
  }

  checkDatabase(em: EntityManager): void {
    requirePostgres(em, 'pg-boss');
    this.#database.serve(em);
  }

  async enqueue(jobs: readonly NewJob[], em: EntityManager | undefined): Promise<readonly string[]> {
    const transaction = em !== undefined && transactionOf(em) !== undefined ? em : undefined;
    if (em !== undefined) requirePostgres(em, 'pg-boss');
    if (transaction !== undefined) await this.#database.require(transaction);
    const ids: string[] = [];
    for (const [queue, own] of Map.groupBy(jobs, (job) => job.queue)) {
      await this.#prepare(queue.name);
      const settled = transaction === undefined ? own : await lockDedupeKeys(own, transaction);
      ids.push(...(await this.#insert(queue, settled, em)));
    }
    return ids;
  }

  async schedule(queue: QueueSettings, key: string, cron: string, data: JsonObject, timeZone: string): Promise<void> {
    await this.#prepare(queue.name);
    await this.#boss.schedule(queue.name, cron, data, {
      tz: timeZone,
      key: scheduleKey(key),
      ...this.#settings(queue),
    });
  }

  async unschedule(queue: QueueSettings, key: string): Promise<void> {
    await this.#prepare(queue.name);
    await this.#boss.unschedule(queue.name, scheduleKey(key));
  }

  async find(queue: QueueSettings, id: string): Promise<JobSnapshot | undefined> {
    await this.#prepare(queue.name);
    const [job] = await this.#boss.findJobs(queue.name, { id });
    if (job === undefined) return undefined;
    return {
      state: STATES[job.state] ?? 'failed',
      // pg-boss counts a retry when it starts.
      attempt: job.state === 'created' ? 0 : job.retryCount + 1,
      output: (job.output ?? undefined) as JsonValue | undefined,
    };
  }

  async cancel({ name }: QueueSettings, id: string, em: EntityManager | undefined): Promise<boolean> {
    await this.#prepare(name);
    // Only of a job that waits, which no worker takes from then on.
    const { jobs } = await this.#boss.update(name, undefined, { id, startAfter: 3_600, ...inTransactionOf(em) });
    if (jobs.length === 0) return false;
    await this.#boss.deleteJob(name, id, inTransactionOf(em));
    return true;
  }

  async work(queue: QueueSettings, run: RunJobs, onError: (error: unknown) => void): Promise<void> {
    await this.#prepare(queue.name);
    await this.#database.requireServed();
    this.#listen(onError);
    const { pollingIntervalSeconds } = this.#options;
    const options = {
      includeMetadata: true,
      perJobResults: true,
      batchSize: queue.batch,
      ...(pollingIntervalSeconds !== undefined && { pollingIntervalSeconds }),
    } as const;
    // One worker each, and not `localConcurrency`: only so does each have an id to be woken by.
    for (let worker = 0; worker < queue.concurrency; worker++) {
      const id: string = await this.#boss.work(queue.name, options, async (jobs) => {
        // Where there was a job there may be more: the next fetch does not wait for the polling interval.
        this.#boss.notifyWorker(id);
        const received = jobs.map((job) => this.#received(queue.name, job));
        const outcomes = await run(received);
        for (const [index, { id: job }] of jobs.entries()) this.#postpone(queue.name, job, outcomes[index]!, onError);
        return jobs.map((job, index) => resultOf(job, outcomes[index]!));
      });
      this.#workers.push({ queue: queue.name, id });
    }
  }

  stored(em: EntityManager): AsyncIterable<readonly StoredJob[]> {
    return storedJobs(em);
  }

  async requeue(queue: string, ids: readonly string[]): Promise<number> {
    // A program that only puts jobs back has no other need to.
    await this.#boss.start();
    return ((await this.#boss.retry(queue, [...ids])) as { affected: number }).affected;
  }

  async stop(): Promise<void> {
    const workers = this.#workers.splice(0);
    await Promise.all(workers.map(({ queue, id }) => this.#boss.offWork(queue, { id, wait: true })));
    if (this.#onError !== undefined) this.#boss.off('error', this.#onError);
    this.#onError = undefined;
  }

  /** pg-boss is one for all queues. */
  #listen(onError: (error: unknown) => void): void {
    if (this.#onError !== undefined) return;
    this.#onError = onError;
    this.#boss.on('error', onError);
  }

  /** A worker's answer has no delay in it: it is set once pg-boss has written that, or its own applies. */
  #postpone(queue: string, id: string, outcome: Outcome, onError: (error: unknown) => void): void {
    if (outcome.status !== 'retry' || outcome.delayMs === undefined) return;
    const startAfter = outcome.delayMs / 1_000;
    const postpone = async (): Promise<boolean> =>
      (await this.#boss.update(queue, undefined, { id, startAfter })).jobs.length > 0;
    void onceWritten(postpone).catch(onError);
  }

  /** Inserts what is new, and finds the waiting job for what is not. */
  async #insert(queue: QueueSettings, jobs: readonly NewJob[], em: EntityManager | undefined): Promise<string[]> {
    const rows = jobs.map((job) => ({
      id: job.id,
      data: job.data,
      priority: job.priority,
      startAfter: job.delayMs / 1_000,
      // Jobs without a key of their own never meet.
      singletonKey: job.dedupeKey ?? job.id,
      ...this.#settings(queue),
    }));
    const inserted = new Set(await this.#boss.insert(queue.name, rows, { ...inTransactionOf(em), returnId: true }));
    const ids: string[] = [];
    for (const job of jobs) ids.push(inserted.has(job.id) ? job.id : await this.#waiting(queue, job, em));
    return ids;
  }

  /**
   * The job that waits with the same key. It is updated, with no other effect than that no worker takes it before this
   * transaction has ended: else it could run before what this one is about is there.
   */
  async #waiting(queue: QueueSettings, job: NewJob, em: EntityManager | undefined): Promise<string> {
    const options = { singletonKey: job.dedupeKey!, priority: job.priority, ...inTransactionOf(em) };
    const { jobs } = await this.#boss.update(queue.name, undefined, options);
    // It has started in the meantime: then this one is the next.
    return jobs[0] ?? (await this.#insert(queue, [job], em))[0]!;
  }

  async #makeQueue(name: string): Promise<void> {
    if ((await this.#boss.getQueue(name)) === null) await this.#boss.createQueue(name, { policy: POLICY });
    const policy = (await this.#boss.getQueue(name))?.policy;
    if (policy === POLICY) return;
    throw ByReferenceError.invalidOption(
      `queue "${name}"`,
      `one of policy "${POLICY}", as dedupe needs it; take another name with the option queue`,
      policy,
    );
  }

  /** pg-boss counts whole seconds. */
  #settings({ retries }: QueueSettings): object {
    const { expireInSeconds } = this.#options;
    return {
      retryLimit: retries.limit,
      retryDelay: Math.ceil(retries.delayMs / 1_000),
      retryBackoff: retries.backoff,
      ...(expireInSeconds !== undefined && { expireInSeconds }),
    };
  }

  #received(queue: string, job: BossJob): ReceivedJob {
    const { id, data, retryCount, signal } = job;
    return {
      id,
      data,
      attempt: retryCount + 1,
      enqueuedAt: job.createdOn ?? new Date(),
      signal,
      complete: async (em, output) => {
        const settled = await this.#boss.complete(queue, { id, retryCount }, output ?? null, { db: databaseOf(em) });
        // The job has expired and is another worker's: this transaction must not commit.
        if ((settled as { affected?: number }).affected !== 1) throw takenOver(id);
      },
    };
  }
}

/** pg-boss takes few characters in a key. */
const scheduleKey = (key: string): string => (/^[\w.-]+$/.test(key) ? key : Buffer.from(key).toString('hex'));

/** pg-boss keeps failed jobs for a retry, and dead-lettered ones not. */
export function resultOf(job: Pick<BossJob, 'id'>, outcome: Outcome): BossResult {
  if (outcome.status === 'completed') {
    return { id: job.id, status: 'completed', ...(outcome.output && { output: outcome.output }) };
  }
  return { id: job.id, status: outcome.status === 'discard' ? 'deadletter' : 'failed', output: outcome.error };
}

const inTransactionOf = (em: EntityManager | undefined): { db?: BossDatabase } =>
  em !== undefined && transactionOf(em) !== undefined ? { db: databaseOf(em) } : {};
