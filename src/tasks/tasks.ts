import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import { createHash, randomUUID } from 'node:crypto';
import { type Check, check, oneOf } from '../check.ts';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import { once } from '../once.ts';
import { contextOf } from '../orm/context.ts';
import type { EntityType } from '../orm/entity-class.ts';
import { requireRowLocks } from '../reviving/row-locks.ts';
import { afterCommit } from '../transactions/after-commit.ts';
import type { JsonValue } from '../wire/json.ts';
import type { Engine, NewJob, Outcome, ReceivedJob } from './engine.ts';
import { watchChanges } from './flush-listener.ts';
import { JobHandle } from './job-handle.ts';
import { type JobMetadata, JobRunner, metadataOf } from './job-runner.ts';
import { retry, unreadable } from './outcome.ts';
import { aJobSigning, type JobSigning, Seal } from './seal.ts';
import { defineTask, type TaskDefinition } from './task-definition.ts';
import {
  type BatchHandler,
  type BatchOptions,
  type ChangeOf,
  checkDelayOptions,
  checkTaskOptions,
  type DelayOptions,
  type Handler,
  type Task,
  type TaskOptions,
} from './task.ts';
import { canHoldJobs, transactionFor } from './transaction.ts';

/** What travels with a job beside its arguments: tenant, locale, parameters of filters. */
export interface TaskContext {
  /** Called where a job is enqueued; what it returns goes with the job. */
  capture(): JsonValue;
  /** Called around the handler, with what was captured; undefined for jobs of other producers. */
  run(context: JsonValue | undefined, em: EntityManager, next: () => Promise<void>): Promise<void>;
}

export interface TasksOptions {
  /**
   * What happens to a job without an envelope: its data reaches the handler unchanged (`pass`, default), or it is
   * discarded (`refuse`, and the only way with `signed`).
   */
  readonly plain?: 'pass' | 'refuse';
  /**
   * Signs jobs and their results, and takes no others: a job for the task and the queue that it was made for, a result
   * of the job that it is asked of. The same job twice is not prevented. Default: as the serializer’s.
   */
  readonly signed?: JobSigning;
  readonly context?: TaskContext;
}

const TASKS_CHECKS: Record<keyof TasksOptions, Check> = {
  plain: oneOf('pass', 'refuse'),
  signed: aJobSigning,
  context: [
    '{ capture, run }',
    (value) =>
      typeof (value as TasksOptions['context'])?.capture === 'function' &&
      typeof (value as TasksOptions['context'])?.run === 'function',
  ],
};

export const checkTasksOptions = (options: TasksOptions): void => check(options, TASKS_CHECKS, 'option ');

/**
 * Functions that also run later, in a worker: `tasks.define(name, handler)` gives a function with `.delay(args)`.
 * Entities in the arguments travel as tokens and come back as the rows of then.
 *
 * Define the same tasks in every process; call `work()` in those that are workers.
 */
export class Tasks {
  readonly #serializer: EntitySerializer;
  readonly #engine: Engine;
  readonly #options: TasksOptions;
  readonly #seal: Seal;
  readonly #runner: JobRunner;
  readonly #definitions = new Map<string, TaskDefinition>();
  /** By the function that `define` returned. */
  readonly #byTask = new WeakMap<object, TaskDefinition>();
  /** What `onFlush` has begun; `end` while it goes on. */
  readonly #watches: { readonly begin: () => () => void; end: (() => void) | undefined }[] = [];
  /** Starts the workers of a queue. */
  readonly #startQueue = once(async (name: string) => {
    const { queue } = this.#tasksOf(name)[0]!;
    await this.#engine.work(queue, (jobs) => this.#run(name, jobs));
  });

  /** Throws E_INVALID_OPTION, and E_UNSUPPORTED for an engine that can't serve the serializer's database. */
  constructor(serializer: EntitySerializer, engine: Engine, options: TasksOptions = {}) {
    checkTasksOptions(options);
    engine.checkDatabase?.(serializer.orm.em);
    engine.attach?.(serializer);
    this.#serializer = serializer;
    this.#engine = engine;
    this.#options = options;
    this.#seal = new Seal(serializer, options);
    this.#runner = new JobRunner(serializer, this.#seal, {
      run: options.context?.run.bind(options.context) ?? ((_context, _em, next) => next()),
    });
  }

  /**
   * A function that can also run later. The name is what jobs carry: it outlives renames of the function.
   * Throws E_INVALID_OPTION for a name that is taken and for options that no job could be read with, and E_UNSUPPORTED for what the engine or the database can't do.
   */
  define<Args, Result>(
    name: string,
    handler: BatchHandler<Args, Result>,
    options: BatchOptions,
  ): Task<Args, Awaited<Result>>;
  define<Args, Result>(
    name: string,
    handler: Handler<Args, Result>,
    options?: TaskOptions,
  ): Task<Args, Awaited<Result>>;
  define(
    name: string,
    handler: (args: never, job: never) => unknown,
    options: TaskOptions & Partial<BatchOptions> = {},
  ): Task<unknown, unknown> {
    checkTaskOptions(name, handler, options);
    const definition = defineTask(name, handler, options);
    this.#serializer.refuseWrongOptions(definition.revive);
    if (options.lockMode !== undefined) {
      requireRowLocks(this.#serializer.orm.em);
      if (!definition.transactional) {
        throw ByReferenceError.invalidOption('option lockMode', 'transactional: true beside it', options.lockMode);
      }
    }
    this.#refuseConflicts(definition);
    this.#definitions.set(name, definition);
    const task = Object.assign((args: unknown) => this.#call(definition, args), {
      taskName: name,
      delay: async (args: unknown, delayOptions: DelayOptions = {}) =>
        (await this.#enqueue(definition, [args], delayOptions))[0]!,
      bulk: (list: readonly unknown[], delayOptions: DelayOptions = {}) =>
        this.#enqueue(definition, list, delayOptions),
      schedule: (cron: string, args: unknown, { timeZone = 'UTC' } = {}) =>
        this.#schedule(definition, cron, args, timeZone),
      handle: (id: string) => this.#handle(definition, id),
    }) as Task<unknown, unknown>;
    this.#byTask.set(task, definition);
    return task;
  }

  /**
   * Calls a task after each committed change of a row of these classes, once per row and transaction:
   * `tasks.onFlush([Question, Answer], index)`. On an engine in the application's database the job is part of the
   * transaction that changes the row. What bypasses the unit of work (nativeUpdate, raw SQL) is not seen, nor what
   * commits after `stop()`. A row that a subscriber keeps when it is removed (soft delete) is updated.
   * Throws E_INVALID_OPTION for a task whose `missing` is not `'null'`: the row may be gone when the job runs.
   */
  onFlush<const Models extends readonly EntityType[], Result>(
    models: Models,
    task: Task<NoInfer<ChangeOf<Models[number]>>, Result>,
  ): void {
    const definition = this.#byTask.get(task);
    if (definition === undefined)
      throw ByReferenceError.invalidOption('task of onFlush', 'one that define() made', task);
    if (definition.revive.missing !== 'null') {
      throw ByReferenceError.invalidOption(
        `option missing of the task "${definition.name}" for onFlush`,
        "'null'",
        definition.revive.missing,
      );
    }
    const begin = (): (() => void) =>
      watchChanges(this.#serializer, models, async (changes, em) => {
        await this.#enqueue(definition, changes, { em });
      });
    this.#watches.push({ begin, end: begin() });
  }

  /** Starts the workers of all tasks defined so far; those of an earlier call go on. After `stop()`, `onFlush` hears again. */
  async work(): Promise<void> {
    for (const watch of this.#watches) watch.end ??= watch.begin();
    for (const { queue } of this.#definitions.values()) await this.#startQueue(queue.name);
  }

  /** Takes no further jobs, waits for those under way, and ends what `onFlush` began: stop it after what flushes. */
  async stop(): Promise<void> {
    await this.stopWorkers();
    for (const watch of this.#watches) {
      watch.end?.();
      watch.end = undefined;
    }
  }

  /** @internal The first half: what is still flushed enqueues its jobs. */
  async stopWorkers(): Promise<void> {
    await this.#engine.stop();
    for (const { queue } of this.#definitions.values()) this.#startQueue.forget(queue.name);
  }

  #tasksOf(queue: string): TaskDefinition[] {
    return [...this.#definitions.values()].filter((definition) => definition.queue.name === queue);
  }

  async #call(definition: TaskDefinition, args: unknown): Promise<unknown> {
    const { orm } = this.#serializer;
    const job = {
      id: randomUUID(),
      name: definition.name,
      attempt: 1,
      enqueuedAt: new Date(),
      signal: new AbortController().signal,
      get em(): EntityManager {
        return contextOf(orm.em);
      },
    };
    return (await definition.handle([args], [job]))[0];
  }

  async #enqueue(
    definition: TaskDefinition,
    list: readonly unknown[],
    options: DelayOptions,
  ): Promise<JobHandle<unknown>[]> {
    checkDelayOptions(options);
    const entities = new Set<AnyEntity>();
    const jobs = list.map((args) => this.#newJob(definition, args, options, entities));
    for (const job of jobs) this.#engine.check?.(job);
    const handles = jobs.map(({ id }) => this.#handle(definition, id));
    const em = transactionFor(this.#serializer, options.em, entities);
    const isPart = this.#engine.isTransactional && (em === undefined || canHoldJobs(em, this.#serializer));
    const enqueue = async (): Promise<void> => {
      const ids = await this.#engine.enqueue(jobs, isPart ? em : undefined);
      for (const [index, id] of ids.entries()) handles[index]!.id = id;
    };
    if (em === undefined || isPart) await enqueue();
    else this.#enqueueAfterCommit(em, enqueue, handles);
    return handles;
  }

  /** Nothing waits for the commit here: whoever awaited it inside the transaction would wait for good. */
  #enqueueAfterCommit(em: EntityManager, enqueue: () => Promise<void>, handles: readonly JobHandle<unknown>[]): void {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Whoever wants to know asks `enqueued`; the failure is told by afterCommit in any case.
    promise.catch(() => undefined);
    for (const handle of handles) handle.enqueued = promise;
    const run = async (): Promise<void> => {
      await enqueue().catch((error: unknown) => {
        reject(error);
        throw error;
      });
    };
    const committed = async (): Promise<void> => {
      await run();
      resolve();
    };
    // A job of a row that is not there is discarded in the end; one that was never enqueued would be missed by nobody.
    const onUnknown = async ({ cause }: ByReferenceError): Promise<void> => {
      await run();
      reject(ByReferenceError.commitUnknown(cause, ' Its job is enqueued all the same.'));
    };
    afterCommit(em, committed, { onRollback: () => reject(ByReferenceError.rolledBack()), onUnknown });
  }

  async #schedule(definition: TaskDefinition, cron: string, args: unknown, timeZone: string): Promise<void> {
    await this.#engine.schedule(definition.queue, definition.name, cron, this.#encode(definition, args), timeZone);
  }

  #newJob(definition: TaskDefinition, args: unknown, options: DelayOptions, entities: Set<AnyEntity>): NewJob {
    const { dedupe, delayMs = 0, priority = 0 } = options;
    const key = dedupe === undefined ? undefined : this.#serializer.dedupeKey([definition.name, dedupe]);
    return {
      id: randomUUID(),
      queue: definition.queue,
      data: this.#encode(definition, args, entities),
      delayMs,
      priority,
      dedupeKey: key && createHash('sha256').update(key).digest('base64url'),
    };
  }

  #encode(definition: TaskDefinition, args: unknown, entities?: Set<AnyEntity>) {
    const { context } = this.#options;
    const { name, queue } = definition;
    const task: JobMetadata = { name, ...(context && { context: context.capture() }) };
    // The only task of a queue of its name goes without saying.
    const isPlain = name === queue.name && context === undefined && !this.#seal.isOn;
    const options = { sign: false, ...(isPlain ? {} : { metadata: { task } }) } as const;
    const listener = { entity: (entity: AnyEntity) => void entities?.add(entity) };
    const envelope = this.#serializer.encodeTelling(args, options, listener);
    return this.#seal.close(envelope, 'job', { queue: queue.name });
  }

  #handle(definition: TaskDefinition, id: string): JobHandle<unknown> {
    return new JobHandle(id, this.#engine, definition.queue, { serializer: this.#serializer, seal: this.#seal });
  }

  /** A queue may serve several tasks: the job says which. One of another producer is that of the only task. */
  async #run(queue: string, jobs: readonly ReceivedJob[]): Promise<readonly Outcome[]> {
    const tasks = this.#tasksOf(queue);
    const outcomes = new Map<ReceivedJob, Outcome>();
    const opened = new Map<ReceivedJob, unknown>();
    for (const job of jobs) {
      try {
        opened.set(job, this.#seal.openJob(job.data, { queue, name: job.name }));
      } catch (error) {
        outcomes.set(job, unreadable(job.enqueuedAt, error, 0));
      }
    }
    const taskOf = (job: ReceivedJob): TaskDefinition | undefined => {
      const name = metadataOf(opened.get(job))?.name;
      const named = tasks.find((definition) => definition.name === (name ?? queue));
      return named ?? (name === undefined && tasks.length === 1 ? tasks[0] : undefined);
    };
    const calls = Map.groupBy(opened.keys(), (job) => {
      const task = taskOf(job);
      const metadata = metadataOf(opened.get(job));
      if (task === undefined) outcomes.set(job, unknownTask(queue, metadata?.name));
      // A batch runs in one context, so jobs of two are two batches.
      return task?.isBatch === true ? JSON.stringify(metadata?.context) : job.id;
    });
    for (const own of calls.values()) {
      const known = own.filter((job) => !outcomes.has(job));
      if (known.length === 0) continue;
      const sound = known.map((job) => ({ job, data: opened.get(job) }));
      const results = await this.#runner.run(taskOf(known[0]!)!, sound);
      for (const [index, job] of known.entries()) outcomes.set(job, results[index]!);
    }
    return jobs.map((job) => outcomes.get(job)!);
  }

  #refuseConflicts(definition: TaskDefinition): void {
    const { name, queue, isBatch, transactional } = definition;
    if (this.#definitions.has(name))
      throw ByReferenceError.invalidOption('name of a task', 'one that is not taken', name);
    const sharing = this.#tasksOf(queue.name);
    if (sharing.some((other) => other.queue.concurrency !== queue.concurrency)) {
      throw ByReferenceError.invalidOption(
        `option concurrency of the task "${name}"`,
        'that of the other tasks of its queue',
        queue.concurrency,
      );
    }
    if (sharing.some((other) => isBatch || other.isBatch)) {
      throw ByReferenceError.invalidOption(
        `option queue of the task "${name}"`,
        'a queue of its own for a batch',
        queue.name,
      );
    }
    if (transactional && !this.#engine.isTransactional) {
      throw ByReferenceError.unsupported(
        `The option transactional of the task "${name}"`,
        'take an engine whose jobs are in the application’s database',
      );
    }
  }
}

/** During a rolling deploy another process may know it. */
const unknownTask = (queue: string, name: string | undefined): Outcome =>
  retry(new Error(`The queue "${queue}" has no task ${JSON.stringify(name ?? null)} in this process.`));
