import type { AnyEntity } from '@mikro-orm/core';
import type { BulkJobOptions, Job, JobsOptions, Queue } from 'bullmq';
import { waiting } from './job.ts';
import type { Writing } from './options.ts';
import { Route } from './route.ts';
import { Writer } from './writer.ts';

/** A job as BullMQ's addBulk takes it, and a scheduler's template with less of it. */
export interface GivenJob {
  readonly name: string;
  readonly data: unknown;
  readonly opts?: BulkJobOptions | undefined;
}

/** What a queue adds, by reference; BullMQ's own methods are handed in. */
export class QueueWriter extends Writer {
  readonly #queue: Queue;

  constructor(queue: Queue, writing: Writing, base?: typeof Job) {
    super(writing, base);
    this.#queue = queue;
  }

  add(
    name: string,
    data: unknown,
    given: JobsOptions | undefined,
    add: (stored: unknown, options: JobsOptions | undefined) => Promise<Job>,
  ): Promise<Job> {
    const entities = new Set<AnyEntity>();
    const stored = this.writing.codec.writeData(data, entities);
    const route = new Route(this.writing, entities);
    const opts = route.identified(given);
    return route.send(
      () => add(stored, opts),
      () => this.#waiting({ name, data: stored, opts }),
    );
  }

  addBulk(jobs: readonly GivenJob[], addBulk: (stored: readonly GivenJob[]) => Promise<Job[]>): Promise<Job[]> {
    const entities = new Set<AnyEntity>();
    const stored = jobs.map((job) => ({ ...job, data: this.writing.codec.writeData(job.data, entities) }));
    const route = new Route(this.writing, entities);
    const identified = stored.map((job) => ({ ...job, opts: route.identified(job.opts) }));
    return route.send(
      () => addBulk(identified),
      () => identified.map((job) => this.#waiting(job)),
    );
  }

  /** Resolves with undefined inside a transaction on Redis: which job is the next one is known after the commit. */
  upsertJobScheduler<Template extends { readonly data?: unknown }>(
    template: Template | undefined,
    upsert: (stored: Template) => Promise<Job>,
  ): Promise<Job> {
    const entities = new Set<AnyEntity>();
    const stored = { ...template, data: this.writing.codec.writeData(template?.data, entities) } as Template;
    return new Route(this.writing, entities).send(
      () => upsert(stored),
      () => undefined as never,
    );
  }

  updateJobProgress(progress: unknown, update: (stored: never) => Promise<void>): Promise<void> {
    return update(this.writing.codec.writeValue(progress) as never);
  }

  #waiting({ name, data, opts }: GivenJob): Job {
    const options = { ...this.#queue.defaultJobOptions, ...opts };
    return waiting(new this.job(this.#queue as never, name, data, options, opts?.jobId));
  }
}
