import type { AnyEntity } from '@mikro-orm/core';
import type { BulkJobOptions, Job, JobsOptions, Queue } from 'bullmq';
import { companionOf } from './host.ts';
import type { Named } from './job-codec.ts';
import { waiting } from './job.ts';
import type { Writing } from './options.ts';
import type { WaitingJob } from './waiting-jobs.ts';
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
      async (isTaken) => (isTaken(0) ? NONE : add(stored, opts)),
      () => this.#waiting({ name, data: stored, opts }),
      (job) => [job],
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
      (isTaken) => addBulk(identified.filter((_job, index) => !isTaken(index))),
      () => identified.map((job) => this.#waiting(job)),
      (added) => added,
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
      async (isTaken) => (isTaken(0) ? NONE : upsert(stored)),
      () => NONE,
      () => [{ id, queueQualifiedName: this.#queue.qualifiedName, opts: {}, isScheduler: true }],
    );
  }

  /** Also one that still waits for the commit of a transaction, in this process. */
  async remove(id: string, remove: (id: string) => Promise<number>): Promise<number> {
    const done = await this.#takeBack((job) => job.id === id && job.isScheduler === undefined, remove);
    // What the transaction has removed it has locked.
    const removed = done === 'within' ? 1 : await remove(id);
    return done === 'taken' ? 1 : removed;
  }

  async removeJobScheduler(id: string, remove: (id: string) => Promise<boolean>): Promise<boolean> {
    const done = await this.#takeBack((job) => job.id === id && job.isScheduler === true, remove);
    return (done !== 'within' && (await remove(id))) || done !== 'nothing';
  }

  /** As BullMQ has it, delayed jobs are left unless they are asked for. */
  async drain(delayed: boolean, remove: (id: string) => Promise<unknown>): Promise<void> {
    const isMeant = ({ isScheduler, opts }: WaitingJob): boolean =>
      isScheduler === undefined && (delayed || !(opts.delay! > 0));
    await this.#takeBack(isMeant, remove);
  }

  /** On PostgreSQL by the transaction around the call: it has locked what it used of the queue. */
  async obliterate(
    obliterate: () => Promise<void>,
    remove: (id: string) => Promise<unknown>,
    removeScheduler: typeof remove,
  ): Promise<void> {
    await this.#takeBack(({ isScheduler }) => isScheduler === undefined, remove);
    await this.#takeBack(({ isScheduler }) => isScheduler === true, removeScheduler);
    await this.route([]).within(obliterate);
  }

  updateJobProgress(id: string, progress: unknown, update: (stored: never) => Promise<void>): Promise<void> {
    return update(this.codec.writeProgress(progress, { queue: this.#queue.name, id }) as never);
  }

  /** On PostgreSQL what is part of a transaction is removed within it. */
  #takeBack(isMeant: (job: WaitingJob) => boolean, remove: (id: string) => Promise<unknown>) {
    const { qualifiedName } = this.#queue;
    return this.waiting.takeBack(
      (job) => job.queueQualifiedName === qualifiedName && isMeant(job),
      ({ id }, { em }) => this.pool!.run(em, () => remove(id!)),
    );
  }

  #named(name: string): Named {
    return { name, queueName: this.#queue.name };
  }

  #waiting({ name, data, opts }: GivenJob): Job {
    const options = { ...this.#queue.defaultJobOptions, ...opts };
    return waiting(new this.job(this.#queue as never, name, data, options, opts?.jobId));
  }
}

/** What a call resolves with whose jobs were all taken back: nobody waits for it. */
const NONE = undefined as never;

/** Those of BullMQ's methods that have ours on top. */
export const QUEUE_METHODS = [
  'add',
  'addBulk',
  'upsertJobScheduler',
  'updateJobProgress',
  'remove',
  'removeJobScheduler',
  'drain',
  'obliterate',
  'close',
] as const;

/** A queue's methods, on top of its own. */
export const queueMethods = (own: Pick<Queue, (typeof QUEUE_METHODS)[number]>) => ({
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

  async remove(this: Queue, id: string, options?: { removeChildren?: boolean }): Promise<number> {
    return companionOf<QueueWriter>(this).remove(id, (one) => own.remove.call(this, one, options));
  },

  async removeJobScheduler(this: Queue, id: string): Promise<boolean> {
    return companionOf<QueueWriter>(this).removeJobScheduler(id, (one) => own.removeJobScheduler.call(this, one));
  },

  async drain(this: Queue, delayed = false): Promise<void> {
    await companionOf<QueueWriter>(this).drain(delayed, (one) => own.remove.call(this, one));
    return own.drain.call(this, delayed);
  },

  async obliterate(this: Queue, options?: Parameters<Queue['obliterate']>[0]): Promise<void> {
    return companionOf<QueueWriter>(this).obliterate(
      () => own.obliterate.call(this, options),
      (one) => own.remove.call(this, one),
      (one) => own.removeJobScheduler.call(this, one),
    );
  },

  close(this: Queue): Promise<void> {
    return companionOf<QueueWriter>(this).close(() => own.close.call(this));
  },
});
