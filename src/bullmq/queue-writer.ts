import type { AnyEntity } from '@mikro-orm/core';
import type { BulkJobOptions, Job, JobsOptions, Queue } from 'bullmq';
import { companionOf } from './host.ts';
import type { Named } from './job-codec.ts';
import { waiting } from './job.ts';
import type { Writing } from './options.ts';
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
    const stored = this.codec.writeData(data, this.#named(name), entities);
    const route = this.route(entities);
    const opts = route.identified(given);
    return route.send(
      () => add(stored, opts),
      () => this.#waiting({ name, data: stored, opts }),
    );
  }

  addBulk(jobs: readonly GivenJob[], addBulk: (stored: readonly GivenJob[]) => Promise<Job[]>): Promise<Job[]> {
    const entities = new Set<AnyEntity>();
    const stored = jobs.map((job) => ({
      ...job,
      data: this.codec.writeData(job.data, this.#named(job.name), entities),
    }));
    const route = this.route(entities);
    const identified = stored.map((job) => ({ ...job, opts: route.identified(job.opts) }));
    return route.send(
      () => addBulk(identified),
      () => identified.map((job) => this.#waiting(job)),
    );
  }

  /** Resolves with undefined inside a transaction on Redis: which job is the next one is known after the commit. */
  upsertJobScheduler<Template extends { readonly name?: string; readonly data?: unknown }>(
    id: string,
    template: Template | undefined,
    upsert: (stored: Template) => Promise<Job>,
  ): Promise<Job> {
    const entities = new Set<AnyEntity>();
    const named = this.#named(template?.name ?? id);
    const stored = { ...template, data: this.codec.writeData(template?.data, named, entities) } as Template;
    return this.route(entities).send(
      () => upsert(stored),
      () => undefined as never,
    );
  }

  updateJobProgress(id: string, progress: unknown, update: (stored: never) => Promise<void>): Promise<void> {
    return update(this.codec.writeProgress(progress, { queue: this.#queue.name, id }) as never);
  }

  #named(name: string): Named {
    return { name, queueName: this.#queue.name };
  }

  #waiting({ name, data, opts }: GivenJob): Job {
    const options = { ...this.#queue.defaultJobOptions, ...opts };
    return waiting(new this.job(this.#queue as never, name, data, options, opts?.jobId));
  }
}

/** A queue's methods, on top of its own. */
export const queueMethods = (
  own: Pick<Queue, 'add' | 'addBulk' | 'upsertJobScheduler' | 'updateJobProgress' | 'close'>,
) => ({
  async add(this: Queue, name: string, data: unknown, given?: JobsOptions): Promise<Job> {
    const add = (stored: unknown, options?: JobsOptions): Promise<Job> => own.add.call(this, name, stored, options);
    return companionOf<QueueWriter>(this).add(name, data, given, add);
  },

  async addBulk(this: Queue, jobs: readonly GivenJob[]): Promise<Job[]> {
    return companionOf<QueueWriter>(this).addBulk(jobs, (stored) => own.addBulk.call(this, stored as never));
  },

  async upsertJobScheduler(
    this: Queue,
    ...[id, repeat, template]: Parameters<Queue['upsertJobScheduler']>
  ): Promise<Job | undefined> {
    const upsert = (stored: typeof template): Promise<Job> => own.upsertJobScheduler.call(this, id, repeat, stored);
    return companionOf<QueueWriter>(this).upsertJobScheduler(id, template, upsert);
  },

  async updateJobProgress(this: Queue, id: string, progress: unknown): Promise<void> {
    const update = (stored: never): Promise<void> => own.updateJobProgress.call(this, id, stored);
    return companionOf<QueueWriter>(this).updateJobProgress(id, progress, update);
  },

  close(this: Queue): Promise<void> {
    return companionOf<QueueWriter>(this).close(() => own.close.call(this));
  },
});
