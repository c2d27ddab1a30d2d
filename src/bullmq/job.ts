import { Job } from 'bullmq';
import type { JobCodec } from './job-codec.ts';
import { storable } from './process-job.ts';

/** BullMQ's Job, which stores what it is given by reference. */
export class ByReferenceJob<Data = unknown, Result = unknown, Name extends string = string> extends Job<
  Data,
  Result,
  Name
> {
  /** Set by the class that is made for one codec. */
  declare protected readonly codec: JobCodec;

  /** What comes from the store can be added to another queue as it is. */
  static override fromJSON<T, R, N extends string>(...args: Parameters<typeof Job.fromJSON>): Job<T, R, N> {
    const job = super.fromJSON(...args) as ByReferenceJob<T, R, N>;
    job.codec.accept(job.data);
    return job;
  }

  override updateData(data: Data): Promise<void> {
    return super.updateData(this.codec.writeData(data) as Data);
  }

  override updateProgress(progress: never): Promise<void> {
    return super.updateProgress(this.codec.writeValue(progress) as never);
  }

  override moveToCompleted(result: Result, token: string, fetchNext?: boolean): Promise<void | unknown[]> {
    return super.moveToCompleted(this.codec.writeValue(result) as Result, token, fetchNext);
  }

  override moveToFailed<E extends Error>(error: E, token: string, fetchNext?: boolean): Promise<void | unknown[]> {
    return super.moveToFailed(storable(error) as E, token, fetchNext);
  }

  /** Throws for what BullMQ would refuse when the job is added. */
  validate(): void {
    this.validateOptions(this.asJSON());
  }
}

export function jobClass(codec: JobCodec): typeof ByReferenceJob {
  class JobOfCodec<Data, Result, Name extends string> extends ByReferenceJob<Data, Result, Name> {}
  Object.defineProperty(JobOfCodec.prototype, 'codec', { value: codec });
  return JobOfCodec;
}
