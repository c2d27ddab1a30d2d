import type { EntityManager } from '@mikro-orm/core';
import { executeInTransaction } from '../orm/transaction.ts';
import type { StoredJob } from '../tasks/engine.ts';
import { PORTION, portions } from '../tasks/stored-rows.ts';
import type { Schemas } from './schemas.ts';

interface JobRow {
  readonly number: string;
  readonly id: string;
  readonly queue: string;
  readonly state: StoredJob['state'];
  readonly data: unknown;
}

/** graphile-worker's jobs. What it schedules is in the crontabs of processes. */
export async function* storedJobs(em: EntityManager, { worker }: Schemas): AsyncGenerator<readonly StoredJob[]> {
  // The public view has no payloads.
  const sql = `
    select job.id::text as number, coalesce(job.key, job.id::text) as id, task.identifier as queue, job.payload as data,
      case when job.attempts >= job.max_attempts then 'failed' when job.locked_at is not null then 'active'
        when job.run_at > now() then 'delayed' else 'waiting' end as state
    from ${worker}._private_jobs as job join ${worker}._private_tasks as task on task.id = job.task_id
    where job.id > $1::bigint order by job.id limit ${PORTION}`;
  yield* portions<JobRow>(
    async (after) => (await executeInTransaction(em, sql, [after?.number ?? '0'])) as JobRow[],
    ({ id, queue, state, data }) => ({ id, queue, state, data }),
  );
}
