import type { EntityManager } from '@mikro-orm/core';
import type { JobId } from '../tasks/seal.ts';
import type { JobCodec, StoredJob } from './job-codec.ts';

/** The part of BullMQ's Job that is used here, which a sandboxed job has as well. */
export interface JobLike extends StoredJob {
  readonly id?: string | undefined;
  readonly timestamp: number;
  readonly attemptsMade: number;
  readonly attemptsStarted: number;
  updateData(data: unknown): Promise<void>;
  updateProgress(progress: never): Promise<void>;
  getChildrenValues(): Promise<Record<string, unknown>>;
  moveToDelayed(timestamp: number, token?: string): Promise<void>;
}

/**
 * A job as its processor sees it: `data` and the children's results hold rows, and what is written goes out as tokens.
 * The job itself is left as it is stored: BullMQ writes it again and hands it to listeners.
 */
export function jobView<Job extends JobLike>(job: Job, data: unknown, codec: JobCodec, em: EntityManager): Job {
  const own: Record<PropertyKey, unknown> = {
    data,
    async updateData(value: unknown): Promise<void> {
      await job.updateData(codec.rewriteData(value, job));
      own['data'] = value;
    },
    updateProgress: (progress: unknown) => job.updateProgress(codec.writeProgress(progress, jobId(job)) as never),
    getChildrenValues: async () => codec.readValues(await job.getChildrenValues(), em),
  };
  return viewOf(job, own);
}

/** A job as a listener of its worker sees it, where what the event brings stands in the place of what is stored. */
export function eventView<Job extends JobLike>(job: Job, data: () => unknown, stored: unknown, current: unknown): Job {
  const { returnvalue, progress } = job as { returnvalue?: unknown; progress?: unknown };
  return viewOf(job, {
    get data() {
      return data();
    },
    returnvalue: returnvalue === stored ? current : returnvalue,
    progress: progress === stored ? current : progress,
  });
}

/** A job as BullMQ gives it to a sandboxed processor: what comes back from its process is written already. */
export function sandboxView<Job extends JobLike>(job: Job, codec: JobCodec): Job {
  return viewOf(job, {
    updateData: (data: unknown) => job.updateData(codec.accept(data)),
    updateProgress: (progress: never) => job.updateProgress(codec.accept(progress)),
  });
}

export const jobId = ({ id, queueName }: Pick<JobLike, 'id' | 'queueName'>): JobId => ({ queue: queueName, id: id! });

function viewOf<Job extends JobLike>(job: Job, own: Record<PropertyKey, unknown>): Job {
  return new Proxy(job, {
    get(target, name) {
      if (Object.hasOwn(own, name)) return own[name];
      const value: unknown = Reflect.get(target, name, target);
      // So that whatever BullMQ's methods do, they do with what is stored.
      return typeof value === 'function' && name !== 'constructor' ? value.bind(target) : value;
    },
    set(target, name, value) {
      return name === 'data' ? Reflect.set(own, name, value) : Reflect.set(target, name, value, target);
    },
  });
}
