import { type Job, type Processor, Worker, type WorkerOptions } from 'bullmq';
import { markByReference } from './in-place.ts';
import type { JobCodec } from './job-codec.ts';
import { jobClass } from './job.ts';
import { type BullMqOptions, type ByReferenceOptions, settle } from './options.ts';
import { processingBy } from './process-job.ts';

/**
 * BullMQ's Worker, its data by reference: a processor gets the rows of now, in an EntityManager and request context of
 * its own. A missing row ends the job by UnrecoverableError; data without an envelope is passed on as it is, so that
 * queues migrate in place. A sandboxed processor reads its jobs itself: see `byReferenceProcessor`.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- BullMQ’s own defaults
export class ByReferenceWorker<Data = any, Result = any, Name extends string = string> extends Worker<
  Data,
  Result,
  Name
> {
  readonly #codec: JobCodec;
  readonly #process: ReturnType<typeof processingBy>;
  readonly #job: typeof Job;

  constructor(
    name: string,
    processor: string | URL | null | Processor<Data, Result, Name> | undefined,
    options: BullMqOptions<WorkerOptions> & ByReferenceOptions,
    ...backend: unknown[]
  ) {
    const settled = settle<WorkerOptions>(options);
    super(name, processor, settled.options, ...(backend as []));
    this.#codec = settled.codec;
    this.#process = processingBy(processor);
    this.#job = jobClass(settled.codec);
    markByReference(this);
  }

  protected override get Job(): typeof Job {
    return this.#job;
  }

  /** The processor itself stays as it is given, as BullMQ looks at how many arguments it takes. */
  protected override callProcessJob(
    job: Job<Data, Result, Name>,
    token: string,
    signal?: AbortSignal,
  ): Promise<Result> {
    const call = (view: Job<Data, Result, Name>): Promise<Result> => super.callProcessJob(view, token, signal);
    return this.#process(this.#codec, job as never, token, call as never) as Promise<Result>;
  }
}
