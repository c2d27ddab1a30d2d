import type { AnyEntity } from '@mikro-orm/core';
import { type Job, type JobProgress, Queue, type QueueOptions } from 'bullmq';
import { type ByReferenceJob, jobClass } from './job.ts';
import { type BullMqOptions, type ByReferenceOptions, settle, type Settled } from './options.ts';
import { Route } from './route.ts';

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
  readonly #settled: Settled<QueueOptions>;
  readonly #job: typeof ByReferenceJob;

  constructor(name: string, options: BullMqOptions<QueueOptions> & ByReferenceOptions, ...backend: unknown[]) {
    const settled = settle<QueueOptions>(options);
    super(name, settled.options, ...(backend as []));
    this.#settled = settled;
    this.#job = jobClass(settled.codec);
  }

  protected override get Job(): typeof Job {
    return this.#job as typeof Job;
  }

  override async add(
    ...[name, data, given]: Parameters<Queue<Data, Result, Name>['add']>
  ): ReturnType<Queue<Data, Result, Name>['add']> {
    const entities = new Set<AnyEntity>();
    const stored = this.#settled.codec.writeData(data, entities) as typeof data;
    const route = new Route(this.#settled, entities);
    const options = route.identified(given);
    return route.send(
      () => super.add(name, stored, options),
      () => this.#waiting({ name, data: stored, opts: options }),
    );
  }

  override async addBulk(
    jobs: Parameters<Queue<Data, Result, Name>['addBulk']>[0],
  ): ReturnType<Queue<Data, Result, Name>['addBulk']> {
    const entities = new Set<AnyEntity>();
    const stored = jobs.map((job) => ({ ...job, data: this.#settled.codec.writeData(job.data, entities) as never }));
    const route = new Route(this.#settled, entities);
    const identified = stored.map((job) => ({ ...job, opts: route.identified(job.opts) }));
    return route.send(
      () => super.addBulk(identified as never),
      () => identified.map((job) => this.#waiting(job)),
    );
  }

  /** Resolves with undefined inside a transaction on Redis: which job is the next one is known after the commit. */
  override async upsertJobScheduler(
    ...[id, repeat, template]: Parameters<Queue<Data, Result, Name>['upsertJobScheduler']>
  ): ReturnType<Queue<Data, Result, Name>['upsertJobScheduler']> {
    const entities = new Set<AnyEntity>();
    const stored = { ...template, data: this.#settled.codec.writeData(template?.data, entities) as never };
    return new Route(this.#settled, entities).send(
      () => super.upsertJobScheduler(id, repeat, stored),
      () => undefined as never,
    );
  }

  override updateJobProgress(jobId: string, progress: JobProgress): Promise<void> {
    return super.updateJobProgress(jobId, this.#settled.codec.writeValue(progress) as JobProgress);
  }

  override async close(): Promise<void> {
    await Promise.allSettled(this.#settled.sending);
    await super.close();
  }

  /** A job that is still to be added. */
  #waiting({ name, data, opts }: { name: string; data: unknown; opts: { jobId?: string } | undefined }) {
    const job = new this.#job(this as never, name, data, { ...this.defaultJobOptions, ...opts }, opts?.jobId);
    job.validate();
    return job as never;
  }
}
