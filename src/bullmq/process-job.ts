import type { EntityManager } from '@mikro-orm/core';
import { DelayedError, UnrecoverableError } from 'bullmq';
import { ByReferenceError } from '../errors.ts';
import { globalManagers, runInRequest } from '../orm/context.ts';
import { isError, isOrmError, reasonOf } from '../orm/orm-error.ts';
import { describe, mayAppear } from '../tasks/outcome.ts';
import type { JobCodec } from './job-codec.ts';
import { jobId, type JobLike, jobView, sandboxView } from './job-view.ts';

/** Milliseconds until a job that can't be read yet is looked at again: the first time, and at most. */
const [FIRST_LOOK_MS, LONGEST_LOOK_MS] = [1_000, 60_000];

/** Looks at a job that waits for a deploy: a week of them. */
const MOST_LOOKS = 10_000;

/** Runs a processor on the rows of now, in an EntityManager and request context of its own; its result as it is stored. */
export function processJob<Job extends JobLike>(
  codec: JobCodec,
  job: Job,
  token: string | undefined,
  processor: (view: Job) => unknown,
): Promise<unknown> {
  return runInRequest(globalManagers(codec.serializer), async (em) => {
    try {
      const data = await readData(codec, job, token, em);
      return written(codec, job, await processor(jobView(job, data, codec, em)));
    } catch (error) {
      throw withoutRows(error);
    }
  });
}

/** Hands a job to a sandboxed processor, which reads it in its own process and writes what is to be stored. */
export async function passOnJob<Job extends JobLike>(
  codec: JobCodec,
  job: Job,
  _token: string | undefined,
  processor: (view: Job) => unknown,
): Promise<unknown> {
  return codec.accept(await processor(sandboxView(job, codec)));
}

async function readData(codec: JobCodec, job: JobLike, token: string | undefined, em: EntityManager): Promise<unknown> {
  const result = await codec.readData(job, em);
  if (result.status === 'fulfilled') return result.value;
  const { reason } = result;
  const looks = job.attemptsStarted - job.attemptsMade;
  // The store's timestamp may say anything: looks are counted as well.
  const most = mayAppear(reason) ? Math.ceil(codec.retryMissingForMs / FIRST_LOOK_MS) + 1 : MOST_LOOKS;
  const isOver =
    !(looks >= 1 && looks <= most) || codec.unreadable(new Date(job.timestamp), reason).status === 'discard';
  if (isOver) throw unrecoverable(reason);
  if (!(reason instanceof ByReferenceError)) throw reason;
  // Not by a failed attempt: BullMQ's jobs have one unless told otherwise. A row may appear soon, a deploy takes longer.
  const wait = mayAppear(reason) ? FIRST_LOOK_MS : Math.min(FIRST_LOOK_MS * 2 ** (looks - 1), LONGEST_LOOK_MS);
  await job.moveToDelayed(Date.now() + wait, token);
  throw new DelayedError();
}

/** A result that can't be kept is given up: another run would only repeat the work. */
function written(codec: JobCodec, job: JobLike, result: unknown): unknown {
  try {
    return codec.writeResult(result, jobId(job));
  } catch (error) {
    throw unrecoverable(error);
  }
}

const unrecoverable = (cause: unknown): Error =>
  Object.assign(new UnrecoverableError(reasonOf(cause as Error)), { cause });

/** BullMQ keeps messages and stacks, and those of MikroORM and its drivers may quote rows. */
export function withoutRows(error: unknown): unknown {
  if (!isError(error) || !isOrmError(error)) return error;
  const { name, message, code } = describe(error);
  return Object.assign(new Error(message), { name, code });
}
