import { DelayedError, UnrecoverableError } from 'bullmq';
import { ByReferenceError } from '../errors.ts';
import { globalManagers, runInRequest } from '../orm/context.ts';
import { isOrmError } from '../orm/platform.ts';
import type { Outcome } from '../reviving/outcomes.ts';
import { describe, mayAppear } from '../tasks/outcome.ts';
import type { JobCodec } from './job-codec.ts';
import { jobId, type JobLike, jobView, sandboxView } from './job-view.ts';

/** Milliseconds until a job that can't be read yet is looked at again: the first time, and at most. */
const [FIRST_LOOK_MS, LONGEST_LOOK_MS] = [1_000, 60_000];

/** Looks at a job that waits for a deploy: a week of them. */
const MOST_LOOKS = 10_000;

/**
 * Runs a processor on the rows of now, in an EntityManager and request context of its own, and in the context that its
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
      const context = await valueOrLater(codec, job, token, await codec.context.read(opened));
      return await codec.context.run(context, em, async () => {
        const data = await valueOrLater(codec, job, token, await codec.readData(opened, em));
        return written(codec, job, await processor(jobView(job, data, codec, em)));
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
  result: Outcome<T>,
): Promise<T> {
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
  Object.assign(new UnrecoverableError((cause as Error).message), { cause });

/** BullMQ keeps messages and stacks, and those of MikroORM and its drivers may quote rows. */
export function withoutRows(error: unknown): unknown {
  if (!(error instanceof Error) || !isOrmError(error)) return error;
  const { name, message, code } = describe(error);
  return Object.assign(new Error(message), { name, code });
}
