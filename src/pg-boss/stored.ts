import type { EntityManager } from '@mikro-orm/core';
import { executeInTransaction } from '../orm/transaction.ts';
import type { JobFailure, StoredJob } from '../tasks/engine.ts';
import { PORTION, portions } from '../tasks/stored-rows.ts';

interface JobRow {
  readonly queue: string;
  readonly id: string;
  readonly state: StoredJob['state'];
  readonly data: unknown;
  readonly failure: JobFailure | null;
}

/** Which schemas are pg-boss's: an application says it to pg-boss alone, which does not say it again. */
const SCHEMAS = `
  select quote_ident(table_schema) as schema from information_schema.columns
  where table_name = 'job' and column_name in ('singleton_key', 'retry_count', 'start_after', 'dead_letter', 'policy')
  group by table_schema having count(*) = 5 order by 1`;

/** The jobs of all instances of pg-boss in the database, and what their schedules send. */
export async function* storedJobs(em: EntityManager): AsyncGenerator<readonly StoredJob[]> {
  for (const { schema } of (await executeInTransaction(em, SCHEMAS)) as { schema: string }[]) {
    const store = `pg-boss ${schema}`;
    yield* portions<JobRow>(
      async (after) =>
        (await executeInTransaction(em, jobsOf(schema), [after?.queue ?? '', after?.id ?? NIL])) as JobRow[],
      ({ failure, ...job }) => ({ ...job, failure: failure ?? undefined, store }),
    );
    const schedules = await executeInTransaction(
      em,
      `select name as queue, name || ' ' || key as id, 'scheduled' as state, data from ${schema}.schedule order by 1, 2`,
    );
    if (schedules.length > 0) yield (schedules as StoredJob[]).map((job) => ({ ...job, store }));
  }
}

const NIL = '00000000-0000-0000-0000-000000000000';

const jobsOf = (schema: string): string => `
  select name as queue, id, data,
    case when state = 'failed' then 'failed' when state = 'active' then 'active'
      when start_after > now() then 'delayed' else 'waiting' end as state,
    case when state = 'failed' then output end as failure
  from ${schema}.job where state not in ('completed', 'cancelled') and (name, id) > ($1, $2::uuid)
  order by name, id limit ${PORTION}`;
