import { Job } from 'bullmq';
import type { JobCodec } from './job-codec.ts';

/** BullMQ's Job, which stores what it is given by reference. */
export function jobClass(codec: JobCodec): typeof Job {
  return class ByReferenceJob<Data, Result, Name extends string> extends Job<Data, Result, Name> {
    override updateData(data: Data): Promise<void> {
      return super.updateData(codec.writeData(data) as Data);
    }

    override updateProgress(progress: never): Promise<void> {
      return super.updateProgress(codec.writeValue(progress) as never);
    }

    override moveToCompleted(result: Result, token: string, fetchNext?: boolean): Promise<void | unknown[]> {
      return super.moveToCompleted(codec.writeValue(result) as Result, token, fetchNext);
    }
  } as typeof Job;
}
