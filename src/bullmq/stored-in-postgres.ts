import type { StoredJob } from '../tasks/engine.ts';
import { PORTION, portions } from '../tasks/stored-rows.ts';
import { failureOf } from './engine-worker.ts';
import type { PoolLike } from './transaction-pool.ts';

/** The part of a `pg.PoolClient` that is used here. */
interface Client {
  query(text: string, values?: unknown[]): Promise<{ rows: object[] }>;
  release(): void;
}

interface JobRow {
  readonly queue: string;
  readonly id: string;
  readonly name: string;
  readonly state: StoredJob['state'];
  readonly data: unknown;
  readonly reason: string | null;
  readonly stacktrace: readonly string[] | null;
}

const JOBS = `
  select queue, id, name, data, failed_reason as reason, stacktrace,
    case when state = 'waiting-children' then 'waiting' else state::text end as state
  from job where state <> 'completed' and (queue, id) > ($1, $2) order by queue, id limit ${PORTION}`;

const SCHEDULERS = `
  select queue, scheduler_id as id, coalesce(name, queue) as name, 'scheduled' as state, template_data as data
  from scheduler where template_data is not null order by queue, scheduler_id`;

/** Which schema of which database of which server; whether BullMQ's tables are there. */
const STORE = `
  select concat_ws(' ', pg_postmaster_start_time(), current_database(), current_schema()) as store,
    to_regclass('job') is not null as "isThere"`;

/** The jobs of all queues in the schema that the pool's connections are in, read in a transaction that can't write. */
export async function* storedInPostgres(pool: PoolLike): AsyncGenerator<readonly StoredJob[]> {
  const client = (await pool.connect()) as Client;
  try {
    await client.query('begin transaction read only');
    const [{ store, isThere }] = (await client.query(STORE)).rows as [{ store: string; isThere: boolean }];
    if (!isThere) return;
    yield* portions<JobRow>(
      async (after) => (await client.query(JOBS, [after?.queue ?? '', after?.id ?? ''])).rows as JobRow[],
      ({ reason, stacktrace, ...job }) => ({
        ...job,
        store,
        ...(job.state === 'failed' && { failure: failureOf(reason ?? undefined, stacktrace) }),
      }),
    );
    const schedulers = (await client.query(SCHEDULERS)).rows as StoredJob[];
    if (schedulers.length > 0) yield schedulers.map((job) => ({ ...job, store }));
  } finally {
    await client.query('rollback').finally(() => client.release());
  }
}
