import { type Job, type JobProgress, Queue, type QueueOptions } from 'bullmq';
import { markByReference } from './in-place.ts';
import { type BullMqOptions, type ByReferenceOptions, settle } from './options.ts';
import { QueueWriter } from './queue-writer.ts';

/**
 * BullMQ's Queue, its data by reference: entities in what is added travel as tokens. Inside a transaction jobs are
 * added with its commit. The `data` of a job outside its processor is what is stored; `serializer.decode` reads it.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- BullMQ’s own defaults
export class ByReferenceQueue<Data = any, Result = any, Name extends string = string> extends Queue<
  Data,
  Result,
  Name
> {
  readonly #writer: QueueWriter;

  constructor(name: string, options: BullMqOptions<QueueOptions> & ByReferenceOptions, ...backend: unknown[]) {
    const settled = settle<QueueOptions>(options);
    super(name, settled.options, ...(backend as []));
    this.#writer = new QueueWriter(this as never, settled);
    markByReference(this);
  }

  protected override get Job(): typeof Job {
    return this.#writer.job;
  }

  override async add(
    ...[name, data, given]: Parameters<Queue<Data, Result, Name>['add']>
  ): ReturnType<Queue<Data, Result, Name>['add']> {
    const add = (stored: unknown, options: typeof given): Promise<Job> => super.add(name, stored as never, options);
    return this.#writer.add(name, data, given, add) as ReturnType<Queue<Data, Result, Name>['add']>;
  }

  override async addBulk(
    jobs: Parameters<Queue<Data, Result, Name>['addBulk']>[0],
  ): ReturnType<Queue<Data, Result, Name>['addBulk']> {
    const addBulk = (stored: unknown): Promise<Job[]> => super.addBulk(stored as never);
    return this.#writer.addBulk(jobs, addBulk) as ReturnType<Queue<Data, Result, Name>['addBulk']>;
  }

  /** Resolves with undefined inside a transaction on Redis: which job is the next one is known after the commit. */
  override async upsertJobScheduler(
    ...[id, repeat, template]: Parameters<Queue<Data, Result, Name>['upsertJobScheduler']>
  ): ReturnType<Queue<Data, Result, Name>['upsertJobScheduler']> {
    const upsert = (stored: unknown): Promise<Job> => super.upsertJobScheduler(id, repeat, stored as never);
    return this.#writer.upsertJobScheduler(template as never, upsert) as ReturnType<
      Queue<Data, Result, Name>['upsertJobScheduler']
    >;
  }

  override updateJobProgress(jobId: string, progress: JobProgress): Promise<void> {
    return this.#writer.updateJobProgress(progress, (stored) => super.updateJobProgress(jobId, stored));
  }

  override async close(): Promise<void> {
    await this.#writer.close(() => super.close());
  }
}
