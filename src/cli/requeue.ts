import type { Engine, JobFailure } from '../tasks/engine.ts';
import { PORTION } from '../tasks/stored-rows.ts';
import type { Application } from './application.ts';
import { UsageError } from './arguments.ts';
import { lookAtStored } from './audit/audit.ts';
import type { Found } from './audit/look.ts';

/** What became of the failed jobs of one task. */
export interface RequeuedTask {
  readonly task: string | undefined;
  readonly queue: string;
  /** Back in their queue: nobody had read them, and this code can. */
  requeued: number;
  /** Nobody has read them, and this code can't either. */
  unreadable: number;
  /** Failed for another reason. */
  left: number;
}

export interface RequeueSettings {
  /** Of these tasks only; none for all. */
  readonly names: readonly string[];
  readonly dryRun: boolean;
  readonly progress: ((text: string) => void) | undefined;
}

/** Jobs to be put back. */
interface Discarded {
  readonly count: RequeuedTask;
  readonly engine: Engine;
  readonly ids: string[];
}

/** Puts jobs back into their queues that no code could read when they were run, and that this code can. */
export async function requeue(
  application: Application,
  { names, dryRun, progress }: RequeueSettings,
): Promise<readonly RequeuedTask[]> {
  refuseUnknown(names, application);
  const discarded: Discarded[] = [];
  // What is put back while its queue is read is read again, or has another one skipped.
  await lookAtStored(application, { rows: false, progress }, (found, engine) => {
    const { job, task } = found;
    if (job.state !== 'failed' || (names.length > 0 && !names.includes(task ?? ''))) return;
    const { queue } = job;
    let own = discarded.find(
      (each) => each.engine === engine && each.count.queue === queue && each.count.task === task,
    );
    if (own === undefined) {
      own = { count: { task, queue, requeued: 0, unreadable: 0, left: 0 }, engine, ids: [] };
      discarded.push(own);
    }
    const became = fateOf(found, engine);
    if (became === 'requeued') own.ids.push(job.id);
    else own.count[became]++;
  });
  for (const { count, engine, ids } of discarded) {
    if (dryRun) count.requeued = ids.length;
    else while (ids.length > 0) count.requeued += await engine.requeue!(count.queue, ids.splice(0, PORTION));
  }
  return discarded.map(({ count }) => count);
}

function fateOf({ job: { failure }, problem }: Found, engine: Engine): 'requeued' | 'unreadable' | 'left' {
  if (engine.requeue === undefined || !wasUnknown(failure)) return 'left';
  return problem === undefined ? 'requeued' : 'unreadable';
}

/** Whether other code may read what this failure is about. A missing row is missing to all. */
const wasUnknown = (failure: JobFailure | undefined): boolean =>
  failure?.['unread'] === true && (failure['undelivered'] === true || OF_THE_CODE.has(failure['code'] as string));

const OF_THE_CODE: ReadonlySet<string> = new Set([
  'E_UNKNOWN_TASK',
  'E_UNKNOWN_MODEL',
  'E_UNKNOWN_VALUE',
  'E_MODEL_NOT_ALLOWED',
  'E_SCHEMA_NOT_ALLOWED',
  'E_MALFORMED',
  'E_LIMIT',
  'E_BAD_SIGNATURE',
  'E_UNSUPPORTED_VERSION',
]);

function refuseUnknown(names: readonly string[], { tasks }: Application): void {
  const known = new Set(tasks.flatMap(({ insides }) => insides.definitions.map(({ name }) => name)));
  const unknown = names.find((name) => !known.has(name));
  if (unknown !== undefined) throw new UsageError(`no such task: ${unknown}`);
}
