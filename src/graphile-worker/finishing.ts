import type { JobFailure } from '../tasks/engine.ts';
import type { JsonObject } from '../wire/json.ts';
import type { Execute } from './database.ts';
import type { Schemas } from './schemas.ts';
import type { GraphileJob } from './worker-like.ts';

/** How jobs end, and for how long that is known. */
export class Finishing {
  readonly #schemas: Schemas;
  readonly #keepMs: number;

  constructor(schemas: Schemas, keepMs: number) {
    this.#schemas = schemas;
    this.#keepMs = keepMs;
  }

  /**
   * Deletes a completed job and keeps its result, in one statement; false where it is another worker's by now. Private
   * tables: graphile-worker's functions leave a job alone that is locked, and the only one that does not, remove_job,
   * asks neither whose the lock is nor takes a job without a key. The named queue is freed as graphile-worker does it.
   */
  async complete(execute: Execute, job: GraphileJob, output: JsonObject | undefined): Promise<boolean> {
    const taken = `delete from ${this.#schemas.worker}._private_jobs where ${MINE} returning job_queue_id`;
    const freed = `
      update ${this.#schemas.worker}._private_job_queues as queue set locked_by = null, locked_at = null
      from job where queue.id = job.job_queue_id and queue.locked_by = ?::text`;
    return this.#finish(execute, `job as (${taken}), queue as (${freed})`, [...mine(job), job.locked_by], job, {
      state: 'completed',
      output,
    });
  }

  /** Takes a failed job's further attempts from it. A private table, as permanently_fail_jobs leaves locked jobs alone. */
  async fail(execute: Execute, job: GraphileJob, error: JobFailure): Promise<boolean> {
    const taken = `
      update ${this.#schemas.worker}._private_jobs set attempts = max_attempts, updated_at = now() where ${MINE} returning id`;
    return this.#finish(execute, `job as (${taken})`, mine(job), job, { state: 'failed', output: error });
  }

  /** Gives a job its attempt back, while it is still locked: at no time does it look as if it had none left. */
  async giveBack(execute: Execute, job: GraphileJob): Promise<void> {
    await execute(
      `update ${this.#schemas.worker}._private_jobs set attempts = attempts - 1, updated_at = now() where ${MINE}`,
      ...mine(job),
    );
  }

  /** Postpones a failed job once graphile-worker has unlocked it; false while it has not. */
  async postpone(execute: Execute, { id, attempts }: GraphileJob, delayMs: number): Promise<boolean> {
    const [row] = await execute(
      `with job as (select id from ${this.#schemas.worker}.jobs where id = ?::bigint and attempts = ?::int),
       moved as (
         select id from ${this.#schemas.worker}.reschedule_jobs(
           (select array_agg(id) from job), run_at => now() + ?::float8 * interval '1 millisecond'))
       select not exists (select from job) or exists (select from moved) as "isOver"`,
      id,
      attempts,
      delayMs,
    );
    return row!['isOver'] === true;
  }

  /**
   * Unlocks the jobs that a pool has locked for longer than so many milliseconds, but for some; each has one attempt more
   * at least. Private tables: force_unlock_workers knows no exceptions.
   */
  async unlock(execute: Execute, poolId: string, but: readonly string[], lockedForMs: number): Promise<void> {
    await execute(
      `with job as (
         update ${this.#schemas.worker}._private_jobs
         set locked_at = null, locked_by = null, attempts = least(attempts, max_attempts - 1)
         where locked_by = ?::text and id <> all (?::bigint[])
           and locked_at <= clock_timestamp() - ?::float8 * interval '1 millisecond' returning job_queue_id)
       update ${this.#schemas.worker}._private_job_queues as queue set locked_at = null, locked_by = null
       from job where queue.id = job.job_queue_id and queue.locked_by = ?::text`,
      poolId,
      but,
      lockedForMs,
      poolId,
    );
  }

  /**
   * Deletes results that have been kept long enough, but for failures of jobs that are still there, and dedupe keys whose
   * job has started.
   */
  async sweep(execute: Execute): Promise<void> {
    await execute(
      `delete from ${this.#schemas.own}.finished as done
       where finished_at < now() - ?::float8 * interval '1 millisecond'
         and not (state = 'failed' and exists (select from ${this.#schemas.worker}.jobs as job where job.key = done.id))`,
      this.#keepMs,
    );
    // Recent ones stay: their job may be of a transaction that this statement does not see yet.
    await execute(
      `delete from ${this.#schemas.own}.dedupe where key in (
         select key from ${this.#schemas.own}.dedupe as held
         where enqueued_at < now() - interval '1 minute' and not exists (
           select from ${this.#schemas.worker}.jobs as job where job.key = held.job_key and job.attempts = 0)
         for update skip locked)`,
    );
  }

  async #finish(
    execute: Execute,
    taken: string,
    values: readonly unknown[],
    job: GraphileJob,
    { state, output }: { readonly state: string; readonly output: JsonObject | undefined },
  ): Promise<boolean> {
    const [row] = await execute(
      `with ${taken}, kept as (
         insert into ${this.#schemas.own}.finished (id, state, attempt, output, finished_at)
         select ?::text, ?::text, ?::int, ?::json, clock_timestamp() from job where ?::float8 > 0
         on conflict (id) do update set
           state = excluded.state, attempt = excluded.attempt, output = excluded.output, finished_at = excluded.finished_at)
       select exists (select from job) as "isMine"`,
      ...values,
      idOf(job),
      state,
      job.attempts,
      output === undefined ? null : JSON.stringify(output),
      this.#keepMs,
    );
    return row!['isMine'] === true;
  }
}

/** What Tasks calls a job; one of another producer may have no key. */
export const idOf = (job: GraphileJob): string => job.key ?? job.id;

/** The job as this worker has it, and no later taking of it. Dates of JavaScript end at the milliseconds. */
const MINE = `id = ?::bigint and locked_by = ?::text and abs(extract(epoch from locked_at - ?::timestamptz)) < 0.002`;

const mine = ({ id, locked_by, locked_at }: GraphileJob): unknown[] => [
  id,
  locked_by,
  locked_at instanceof Date ? locked_at.toISOString() : locked_at,
];
