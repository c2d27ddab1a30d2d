import type { NewJob } from '../tasks/engine.ts';
import type { Execute } from './database.ts';
import type { Schemas } from './schemas.ts';

/** Adds jobs; resolves with the key of each, or of the one that waits with its dedupe key. */
export async function addJobs(execute: Execute, schemas: Schemas, jobs: readonly NewJob[]): Promise<readonly string[]> {
  const isDeduped = ({ dedupeKey }: NewJob): boolean => dedupeKey !== undefined;
  await addAll(
    execute,
    schemas,
    jobs.filter((job) => !isDeduped(job)),
  );
  const keys: string[] = [];
  for (const job of jobs) keys.push(isDeduped(job) ? await addOnce(execute, schemas, job) : job.id);
  return keys;
}

/**
 * Has graphile-worker know a queue before a transaction does it: one that is the first to name a task makes all
 * others that name it wait for its end.
 */
export async function introduceQueue(execute: Execute, schemas: Schemas, queue: string, key: string): Promise<void> {
  const added = `${schemas.worker}.add_job(identifier => ?::text, job_key => ?::text, run_at => 'infinity')`;
  await execute(`select ${schemas.worker}.remove_job((${added}).key)`, queue, key);
}

/**
 * Removes a job that is waiting; false where none is. A private table, as remove_job takes the key from a job that is
 * under way.
 */
export async function removeWaiting(execute: Execute, schemas: Schemas, key: string): Promise<boolean> {
  const rows = await execute(
    `delete from ${schemas.worker}._private_jobs
     where key = ?::text and locked_at is null and attempts < max_attempts returning id`,
    key,
  );
  return rows.length > 0;
}

/** Gives failed jobs all their attempts again; resolves with how many those are. */
export async function requeueFailed(execute: Execute, schemas: Schemas, keys: readonly string[]): Promise<number> {
  const [row] = await execute(
    `with job as (
       select id from ${schemas.worker}._private_jobs
       where key = any(?::text[]) and attempts >= max_attempts and locked_at is null for update),
     moved as (
       select id from ${schemas.worker}.reschedule_jobs((select array_agg(id) from job), run_at => now(), attempts => 0))
     select count(*)::int as count from moved`,
    keys,
  );
  return row!['count'] as number;
}

async function addAll(execute: Execute, schemas: Schemas, jobs: readonly NewJob[]): Promise<void> {
  if (jobs.length === 0) return;
  const specs = jobs.map(({ id, queue, data, delayMs, priority }) => ({
    identifier: queue.name,
    payload: data,
    job_key: id,
    max_attempts: queue.retries.limit + 1,
    // Here smaller goes first.
    priority: -priority,
    ...(delayMs > 0 && { run_at: new Date(Date.now() + delayMs).toISOString() }),
  }));
  const list = `array(select json_populate_recordset(null::${schemas.worker}.job_spec, ?::json))`;
  await execute(`select count(*) from ${schemas.worker}.add_jobs(${list})`, JSON.stringify(specs));
}

/**
 * Adds a job unless another one of its dedupe key has not started; returns the key of the one that is there. The row
 * of the dedupe key stays locked until the transaction ends, so that one producer after the other decides.
 */
async function addOnce(execute: Execute, schemas: Schemas, job: NewJob): Promise<string> {
  const key = `${job.queue.name}:${job.dedupeKey!}`;
  const [held] = await execute(
    `insert into ${schemas.own}.dedupe as held (key, job_key) values (?::text, ?::text)
     on conflict (key) do update set job_key = held.job_key returning job_key`,
    key,
    job.id,
  );
  const first = held!['job_key'] as string;
  if (first !== job.id) {
    if (await touch(execute, schemas, first)) return first;
    await execute(
      `update ${schemas.own}.dedupe set job_key = ?::text, enqueued_at = clock_timestamp() where key = ?::text`,
      job.id,
      key,
    );
  }
  await addAll(execute, schemas, [job]);
  return job.id;
}

/**
 * True where the job has not started: then it is updated, with no other effect than that no worker takes it before
 * this transaction has ended. Else it could run before what this one is about is there.
 */
async function touch(execute: Execute, schemas: Schemas, key: string): Promise<boolean> {
  const waiting = `select array_agg(id) from ${schemas.worker}.jobs where key = ?::text and attempts = 0`;
  const rows = await execute(`select id from ${schemas.worker}.reschedule_jobs((${waiting})) where attempts = 0`, key);
  return rows.length > 0;
}
