import { Job } from 'bullmq';
import type { JobCodec } from './job-codec.ts';
import { jobId } from './job-view.ts';
import { withoutRows } from './process-job.ts';
import { type WaitingJob, WaitingJobs } from './waiting-jobs.ts';

/** BullMQ's Job, or another's on top of it, which stores what it is given by reference. */
export function jobClass(codec: JobCodec, base: typeof Job = Job): typeof Job {
  const waitingJobs = WaitingJobs.of(codec.serializer);
  return class ByReferenceJob<Data, Result, Name extends string> extends base<Data, Result, Name> {
    /** What comes from the store can be added to another queue as it is. */
    static override fromJSON<T, R, N extends string>(...args: Parameters<typeof Job.fromJSON>): Job<T, R, N> {
      const job = super.fromJSON<T, R, N>(...args);
      codec.accept(job.data);
      return job;
    }

    override updateData(data: Data): Promise<void> {
      return super.updateData(codec.rewriteData(data, this) as Data);
    }

    override async remove(options?: { removeChildren?: boolean }): Promise<void> {
      const isThis = (job: WaitingJob): boolean =>
        job.id === this.id && job.queueQualifiedName === this.queueQualifiedName && job.isScheduler === undefined;
      const remove = (): Promise<void> => super.remove(options);
      const done = await waitingJobs.takeBack(isThis, (_job, { pool, em }) => pool.run(em, remove));
      if (done === 'nothing') await remove();
    }

    override updateProgress(progress: never): Promise<void> {
      return super.updateProgress(codec.writeProgress(progress, jobId(this)) as never);
    }

    override moveToCompleted(result: Result, token: string, fetchNext?: boolean): Promise<void | unknown[]> {
      return super.moveToCompleted(codec.writeResult(result, jobId(this)) as Result, token, fetchNext);
    }

    override moveToFailed<E extends Error>(error: E, token: string, fetchNext?: boolean): Promise<void | unknown[]> {
      return super.moveToFailed(withoutRows(error) as E, token, fetchNext);
    }
  } as typeof Job;
}

/** A job that is still to be added. Throws what BullMQ would refuse it with. */
export function waiting(job: Job): Job {
  const { validateOptions } = job as unknown as { validateOptions(json: object): void };
  validateOptions.call(job, job.asJSON());
  return job;
}
