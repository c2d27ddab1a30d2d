import { UnrecoverableError } from 'bullmq';
import { ByReferenceError } from '../errors.ts';
import { globalManagers, runInRequest } from '../orm/context.ts';
import { isDatabaseFailure, isError, isOrmError, reasonOf } from '../orm/orm-error.ts';
import type { Outcome } from '../reviving/outcomes.ts';
import { describe, mayAppear, postponedMs } from '../tasks/outcome.ts';
import type { JobCodec } from './job-codec.ts';
import { jobId, type JobLike, jobView, sandboxView } from './job-view.ts';
import { delayJob } from './store-away.ts';

/** Milliseconds until a row that may still appear is looked for again. */
const LOOK_MS = 1_000;

/** Looks at a job that waits for a deploy: a week of them. */
const MOST_LOOKS = 10_000;

/**
 * Runs a processor on the current rows, in an EntityManager and request context of its own, and in the context that its
 * job was made in; its result as it is stored.
 */
export function processJob<Job extends JobLike>(
  codec: JobCodec,
  job: Job,
  token: string | undefined,
  processor: (view: Job) => unknown,
): Promise<unknown> {
  return runInRequest(globalManagers(codec.serializer), async (em) => {
    try {
      const opened = await valueOrLater(codec, job, token, codec.openData(job));
      const context = await valueOrLater(codec, job, token, codec.context.read(opened, em));
      return await codec.context.run(context, em, async () => {
        const data = await valueOrLater(codec, job, token, codec.readData(opened, em));
        const result = await processor(jobView(job, data, codec, em));
        return codec.resultOr(jobId(job), () => codec.writeResult(result, jobId(job)));
      });
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

/** What is read of a job. One that can't be read is ended, or looked at again later. */
async function valueOrLater<T>(
  codec: JobCodec,
  job: JobLike,
  token: string | undefined,
  reading: Outcome<T> | Promise<Outcome<T>>,
): Promise<T> {
  const result = await Promise.resolve(reading).catch((error: unknown): PromiseRejectedResult => {
    if (!isDatabaseFailure(error)) throw error;
    return { status: 'rejected', reason: error };
  });
  if (result.status === 'fulfilled') return result.value;
  const { reason } = result;
  const looks = job.attemptsStarted - job.attemptsMade;
  // Without end: that the database is away is no fault of the job's.
  if (isDatabaseFailure(reason)) return delayJob(job, postponedMs(looks), token);
  // Looks are counted, as the store's timestamps may say anything.
  const isCounted = looks >= 1 && looks <= MOST_LOOKS;
  if (!isCounted || codec.unreadable(reason, (looks - 1) * LOOK_MS).status === 'discard') throw unrecoverable(reason);
  if (!(reason instanceof ByReferenceError)) throw reason;
  // Not by a failed attempt: BullMQ's jobs have one unless told otherwise. A row may appear soon, a deploy takes longer.
  return delayJob(job, mayAppear(reason) ? LOOK_MS : postponedMs(looks), token);
}

const unrecoverable = (cause: unknown): Error =>
  Object.assign(new UnrecoverableError(reasonOf(cause as Error)), { cause });

/** BullMQ keeps messages and stacks, and those of MikroORM and its drivers may quote rows. */
export function withoutRows(error: unknown): unknown {
  if (!isError(error) || !isOrmError(error)) return error;
  const { name, message, code } = describe(error);
  return Object.assign(new Error(message), { name, code });
}
