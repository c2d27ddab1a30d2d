import type { Job, Worker } from 'bullmq';
import { companionOf } from './host.ts';
import type { JobCodec } from './job-codec.ts';
import { callListener } from './job-event.ts';
import { jobClass } from './job.ts';
import { passOnJob, processJob } from './process-job.ts';

/** How a worker runs its jobs: a processor that is no function is a file, which BullMQ runs in a process of its own. */
export class JobProcessing {
  readonly job: typeof Job;
  readonly #codec: JobCodec;
  readonly #process: typeof processJob;

  constructor(processor: unknown, codec: JobCodec, base?: typeof Job) {
    this.job = jobClass(codec, base);
    this.#codec = codec;
    this.#process = typeof processor === 'function' ? processJob : passOnJob;
  }

  run(job: Job, token: string, processor: (view: Job) => unknown): Promise<unknown> {
    return this.#process(this.#codec, job as never, token, processor as never);
  }

  /** Calls a listener of an event; what goes wrong with it is an event as well, as with one that throws. */
  async listen(worker: Worker, args: readonly unknown[], listener: (...args: unknown[]) => unknown): Promise<unknown> {
    const tell = (error: unknown): unknown => worker.emit('error', error as Error);
    return callListener(this.#codec, args, listener, tell).catch(tell);
  }
}

/** The method of BullMQ's Worker that calls the processor; a type can't name a protected one. */
interface Calling {
  callProcessJob(job: Job, token: string, signal?: AbortSignal): Promise<unknown>;
}

/** A worker's methods, on top of its own. The processor itself stays as it is given: BullMQ looks at how many arguments it takes. */
export const workerMethods = (own: Calling) => ({
  callProcessJob(this: object, job: Job, token: string, signal?: AbortSignal): Promise<unknown> {
    const call = (view: Job): Promise<unknown> => own.callProcessJob.call(this, view, token, signal);
    return companionOf<JobProcessing>(this).run(job, token, call);
  },
});
