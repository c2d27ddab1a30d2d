import type { JobSnapshot } from '../tasks/engine.ts';
import type { JsonValue } from '../wire/json.ts';
import type { Execute, Row } from './database.ts';
import type { Schemas } from './schemas.ts';

/** What graphile-worker has of a job, and what is kept of its end. */
export async function findJob(execute: Execute, schemas: Schemas, key: string): Promise<JobSnapshot | undefined> {
  const [row] = await execute(
    `select job.id is not null as "isThere", job.locked_at is not null as "isLocked", job.attempts, job.last_error,
       job.locked_at is null and job.attempts < job.max_attempts as "isWaiting",
       done.state, done.attempt, done.output::text as output, done.finished_at < job.locked_at as "isOld"
     from (select ?::text as key) as asked
     left join ${schemas.worker}.jobs as job on job.key = asked.key
     left join ${schemas.own}.finished as done on done.id = asked.key`,
    key,
  );
  return snapshotOf(row!);
}

/** A job that has been started again after its end, by hand or after a crash, is no longer at its end. */
function snapshotOf(row: Row): JobSnapshot | undefined {
  const { isThere, isLocked, isWaiting, isOld, attempts, attempt, state, output } = row;
  const isDone = typeof state === 'string' && isWaiting !== true && !(isLocked === true && isOld === true);
  if (isDone) {
    return {
      state: state as JobSnapshot['state'],
      attempt: attempt as number,
      output: output === null ? undefined : (JSON.parse(output as string) as JsonValue),
    };
  }
  if (isThere !== true) return undefined;
  if (isWaiting === true || isLocked === true)
    return { state: isWaiting === true ? 'waiting' : 'active', attempt: attempts as number, output: undefined };
  const message = (row['last_error'] as string | null) ?? 'it left no reason';
  return { state: 'failed', attempt: attempts as number, output: { name: 'Error', message } };
}
