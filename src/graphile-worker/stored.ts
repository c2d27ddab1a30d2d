import type { EntityManager } from '@mikro-orm/core';
import { executeInTransaction } from '../orm/transaction.ts';
import type { JobFailure, StoredJob } from '../tasks/engine.ts';
import { PORTION, portions } from '../tasks/stored-rows.ts';
import type { Schemas } from './schemas.ts';

interface JobRow {
  readonly number: string;
  readonly id: string;
  readonly queue: string;
  readonly state: StoredJob['state'];
  readonly data: unknown;
  readonly failure: JobFailure | null;
}

/** graphile-worker's jobs. What it schedules is in the crontabs of processes. */
export async function* storedJobs(em: EntityManager, { worker, own }: Schemas): AsyncGenerator<readonly StoredJob[]> {
  const isThere = async (table: string): Promise<boolean> => {
    const rows = await executeInTransaction(em, 'select to_regclass($1) is not null as "isThere"', [table]);
    return (rows as [{ isThere: boolean }])[0].isThere;
  };
  // No program has enqueued or worked anything yet.
  if (!(await isThere(`${worker}._private_jobs`))) return;
  const isKept = await isThere(`${own}.finished`);
  const failure = isKept ? `(select output from ${own}.finished where id = job.key and state = 'failed')` : 'null';
  // The public view has no payloads.
  const sql = `
    select job.id::text as number, coalesce(job.key, job.id::text) as id, task.identifier as queue, job.payload as data,
      case when job.attempts >= job.max_attempts then 'failed' when job.locked_at is not null then 'active'
        when job.run_at > now() then 'delayed' else 'waiting' end as state,
      case when job.attempts >= job.max_attempts then ${failure} end as failure
    from ${worker}._private_jobs as job join ${worker}._private_tasks as task on task.id = job.task_id
    where job.id > $1::bigint order by job.id limit ${PORTION}`;
  yield* portions<JobRow>(
    async (after) => (await executeInTransaction(em, sql, [after?.number ?? '0'])) as JobRow[],
    ({ failure: left, number: _number, ...job }) => ({
      ...job,
      failure: left ?? undefined,
      store: `graphile ${worker}`,
    }),
  );
}
