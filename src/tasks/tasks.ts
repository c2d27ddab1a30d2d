import type { EntityManager } from '@mikro-orm/core';
import { randomUUID } from 'node:crypto';
import { aFunction, type Check, check, hasMethod, milliseconds, oneOf, requireSerializer } from '../check.ts';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import { once } from '../once.ts';
import { contextOf } from '../orm/context.ts';
import { guardPools } from '../orm/pool-guard.ts';
import type { EntityType } from '../orm/entity-class.ts';
import type { Engine, ReceivedJob } from './engine.ts';
import { type ErrorReport, type OnError, tellingOf } from './error-report.ts';
import { watchChanges } from './flush-listener.ts';
import { JobDispatcher } from './job-dispatcher.ts';
import { JobRunner } from './job-runner.ts';
import { Producer } from './producer.ts';
import { aJobSigning, type JobSigning, Seal } from './seal.ts';
import { aTaskContext, type TaskContext } from './task-context.ts';
import { type AnyHandler, defineTask, queueOf, refuseUnservable, type TaskDefinition } from './task-definition.ts';
import { marksOrFail, type MethodTasks, onlyTasks, type TaskClass } from './task-methods.ts';
import {
  type BatchHandler,
  type BatchOptions,
  type ChangeOf,
  type ChangeTask,
  checkDeclareOptions,
  type DeclaredTask,
  type DeclareOptions,
  type Handler,
  type JobContext,
  type Task,
  type TaskOptions,
  type Upgrades,
} from './task.ts';
import { UnderWay } from './under-way.ts';

/** What `new Tasks(serializer, engine, options)` takes. */
export interface TasksOptions {
  /**
   * What happens to a job without an envelope: its data reaches the handler unchanged (`pass`), or it is discarded
   * (`refuse`). With `signed` it is discarded in any case.
   * @defaultValue `'pass'`; with `signed` `'refuse'`
   */
  readonly plain?: 'pass' | 'refuse';
  /**
   * Signs jobs and their results, and takes no others: a job for the task and the queue that it was made for, a result
   * of the job that it is asked of. The same job twice is not prevented.
   * @defaultValue as the serializer’s
   */
  readonly signed?: JobSigning;
  /**
   * What travels with each job beside its arguments, tenant, locale, parameters of filters.
   * @defaultValue none
   */
  readonly context?: TaskContext;
  /**
   * Told of every attempt that failed in this process, of jobs that were discarded and results that could not be kept,
   * and of what the engine reports of itself.
   * @defaultValue one line of MikroORM's logger each, also with `debug: false`
   */
  readonly onError?: OnError;
}

/** How workers are stopped. */
export interface StopOptions {
  /**
   * Milliseconds until the signals of the jobs under way are aborted, and nobody waits for them.
   * @defaultValue no end
   */
  readonly timeoutMs?: number;
}

/** What a look from outside finds. */
export interface TasksInsides {
  readonly definitions: readonly TaskDefinition[];
  readonly engine: Engine;
  readonly seal: Seal;
  /** Whether jobs carry one. */
  readonly hasContext: boolean;
}

const TASKS_CHECKS: Record<keyof TasksOptions, Check> = {
  plain: oneOf('pass', 'refuse'),
  signed: aJobSigning,
  context: aTaskContext,
  onError: aFunction,
};

const STOP_CHECKS: Record<keyof StopOptions, Check> = { timeoutMs: milliseconds };

export const checkTasksOptions = (options: TasksOptions): void => check(options, TASKS_CHECKS, 'option ');

/**
 * Functions that also run later, in a worker: `tasks.define(name, handler)` gives a function with `.delay(args)`.
 * Entities in the arguments travel as tokens and come back as the current rows.
 *
 * Define the same tasks in every process; call `work()` in those that are workers.
 */
export class Tasks {
  readonly #serializer: EntitySerializer;
  readonly #engine: Engine;
  readonly #seal: Seal;
  readonly #hasContext: boolean;
  readonly #producer: Producer;
  readonly #dispatcher: JobDispatcher;
  readonly #tell: (report: ErrorReport) => void;
  readonly #definitions = new Map<string, TaskDefinition>();
  /** By what `define` and `of` have returned. */
  readonly #byTask = new WeakMap<object, TaskDefinition>();
  readonly #byClass = new WeakMap<object, MethodTasks<object>>();
  /** What `onFlush` has begun; `end` while it goes on. */
  readonly #watches: { readonly begin: () => () => void; end: (() => void) | undefined }[] = [];
  readonly #underWay = new UnderWay();
  /** Starts the workers of a queue. */
  readonly #startQueue = once(async (name: string) => {
    const { queue } = this.#tasksOf(name)[0]!;
    const run = (jobs: readonly ReceivedJob[]) => this.#dispatcher.run(name, this.#tasksOf(name), jobs);
    await this.#engine.work(
      queue,
      (jobs) => this.#underWay.run(jobs, run),
      (error) => this.#tellOfEngine(name, error),
    );
  });
  readonly #stop = once(() => this.#stopAll());

  /**
   * `new Tasks(serializer, pgBossEngine(boss))`.
   * @throws E_INVALID_OPTION, and E_UNSUPPORTED for an engine that can't serve the serializer's database.
   */
  constructor(serializer: EntitySerializer, engine: Engine, options: TasksOptions = {}) {
    requireSerializer(serializer);
    if (!hasMethod(engine, 'enqueue'))
      throw ByReferenceError.invalidOption('engine', 'one, as pgBossEngine(boss) or inlineEngine()', engine);
    checkTasksOptions(options);
    engine.checkDatabase?.(serializer.orm.em);
    engine.attach?.(serializer);
    guardPools(serializer);
    const { context } = options;
    const seal = new Seal(serializer, options);
    const runner = new JobRunner({
      serializer,
      seal,
      context,
      onLoss: ({ name, queue }, { job, data }, error) => {
        const { id, attempt } = job;
        const tokens = this.#dispatcher.tokensOf(data);
        this.#tell({ task: name, queue: queue.name, id, attempt, final: false, tokens, error });
      },
    });
    this.#serializer = serializer;
    this.#engine = engine;
    this.#seal = seal;
    this.#hasContext = context !== undefined;
    this.#tell = tellingOf(serializer, options.onError);
    this.#producer = new Producer(serializer, engine, seal, context);
    this.#dispatcher = new JobDispatcher(serializer, seal, runner, this.#tell);
  }

  /**
   * A function that can also run later, its handler with several jobs at once:
   * `tasks.define('index', async (list, jobs) => …, { batch: 50 })`.
   * @throws as with a handler of one job.
   */
  define<Args, Result, Old extends object = object, const Olds extends readonly object[] = readonly object[]>(
    name: string,
    handler: BatchHandler<Args, Result>,
    options: BatchOptions<Upgrades<NoInfer<Args>, Old, Olds>>,
  ): Task<Args, Awaited<Result>>;
  /**
   * A function that can also run later. The name is what jobs carry: it outlives renames of the function.
   * @throws E_INVALID_OPTION for a name that is taken and for options that no job could be read with, and E_UNSUPPORTED
   * for what the engine or the database can't do.
   */
  define<Args, Result, Old extends object = object, const Olds extends readonly object[] = readonly object[]>(
    name: string,
    handler: Handler<Args, Result>,
    options?: TaskOptions<Upgrades<NoInfer<Args>, Old, Olds>>,
  ): Task<Args, Awaited<Result>>;
  define(
    name: string,
    handler: (args: never, job: never) => unknown,
    options: TaskOptions & Partial<BatchOptions> = {},
  ): Task<unknown, unknown> {
    const definition = this.#settle(name, handler, options);
    this.#add(definition);
    const call = (args: unknown): Promise<unknown> => this.#call(definition, args);
    const task = Object.assign(call, this.#producer.declared(definition)) as Task<unknown, unknown>;
    this.#byTask.set(task, definition);
    return task;
  }

  /**
   * The tasks of a class, by its methods with `@Task`: `tasks.of(Mails).sendReminder.delay({ user })`. A producer needs
   * no instance. Other methods are E_INVALID_OPTION when they are used.
   * @throws E_INVALID_OPTION for a class without such methods, and for options that no job could be read with;
   * E_UNSUPPORTED for what the engine or the database can't do.
   */
  of<Instance extends object>(cls: TaskClass<Instance>): MethodTasks<Instance> {
    const known = this.#byClass.get(cls);
    if (known !== undefined) return known as MethodTasks<Instance>;
    const tasks = Object.fromEntries(
      [...marksOrFail((cls as TaskClass | undefined)?.prototype as object | undefined)].map(
        ([method, { name, options }]) => {
          // It is registered elsewhere, or never.
          const definition = this.#settle(name, () => undefined, options);
          const task = this.#producer.declared(definition);
          this.#byTask.set(task, definition);
          return [method, task];
        },
      ),
    );
    const own = onlyTasks(cls, tasks);
    this.#byClass.set(cls, own);
    return own;
  }

  /**
   * Has an instance run the jobs of its methods with `@Task`; call it before `work()`. In Nest the module does it for
   * all providers.
   * @throws what `define` throws, and E_INVALID_OPTION for an instance without such methods.
   */
  register(instance: object): void {
    this.registerClass(Object.getPrototypeOf(Object(instance)) as object | null, () => instance);
  }

  /** @internal The same for a class, by its prototype, whose instances are made for each job. */
  registerClass(prototype: object | null, instanceFor: (job: JobContext) => object | Promise<object>): void {
    for (const [method, { name, options }] of marksOrFail(prototype)) {
      const run = async (args: unknown, job: JobContext): Promise<unknown> => {
        const instance = (await instanceFor(job)) as Readonly<Record<PropertyKey, Handler<unknown, unknown>>>;
        return instance[method]!(args, job);
      };
      this.#add(this.#settle(name, run, options));
    }
  }

  /**
   * A task that another program defines, for a producer without its code:
   * `tasks.declare<{ user: User }, void>('welcome')`. `queue` and `retries` are to be those of its definition.
   * @throws E_INVALID_OPTION.
   */
  declare<Args, Result = unknown>(name: string, options: DeclareOptions = {}): DeclaredTask<Args, Result> {
    checkDeclareOptions(name, options);
    return this.#producer.declared({ name, queue: queueOf(name, options) }) as DeclaredTask<Args, Result>;
  }

  /**
   * Calls a task after each committed change of a row of these classes, once per row and transaction:
   * `tasks.onFlush([Question, Answer], index)`. On an engine in the application's database the job is part of the
   * transaction that changes the row. What bypasses the unit of work (nativeUpdate, raw SQL) is not seen, nor what
   * commits after `stop()`. A row that a subscriber keeps when it is removed (soft delete) is updated.
   * @throws E_INVALID_OPTION for a task whose `missing` is not `'null'`: the row may be gone when the job runs.
   */
  onFlush<const Models extends readonly EntityType[]>(
    models: Models,
    task: ChangeTask<NoInfer<ChangeOf<Models[number]>>>,
  ): void {
    const definition = this.#byTask.get(task);
    if (definition === undefined)
      throw ByReferenceError.invalidOption('task of onFlush', 'one that define() or of() made', task);
    if (definition.revive.missing !== 'null') {
      throw ByReferenceError.invalidOption(
        `option missing of the task "${definition.name}" for onFlush`,
        "'null'",
        definition.revive.missing,
      );
    }
    const begin = (): (() => void) =>
      watchChanges(this.#serializer, models, async (changes, em) => {
        await this.#producer.enqueue(definition, changes, { em });
      });
    this.#watches.push({ begin, end: begin() });
  }

  /**
   * Starts the workers of all tasks defined so far; those of an earlier call go on. After `stop()`, `onFlush` hears
   * again.
   * @throws E_UNSUPPORTED for an engine in another database than the entities; what the engine fails to start with.
   */
  async work(): Promise<void> {
    for (const watch of this.#watches) watch.end ??= watch.begin();
    for (const { queue } of this.#definitions.values()) await this.#startQueue(queue.name);
  }

  /**
   * Takes no further jobs, waits for those under way, and ends what `onFlush` began: stop it after what flushes.
   * Resolves with how many jobs are left: 0, or more where `timeoutMs` is over, for the next worker to run again. One
   * promise for all who call it meanwhile, and the shortest of their times.
   * @throws E_INVALID_OPTION.
   */
  stop(options: StopOptions = {}): Promise<number> {
    check(options, STOP_CHECKS, 'option ');
    const stopped = this.#stop();
    if (options.timeoutMs !== undefined) this.#underWay.giveUpAfter(options.timeoutMs);
    return stopped;
  }

  /** @internal What the commands look at. */
  get insides(): TasksInsides {
    const [engine, seal, hasContext] = [this.#engine, this.#seal, this.#hasContext];
    return { definitions: [...this.#definitions.values()], engine, seal, hasContext };
  }

  /** @internal Asks the engine after a job that there is not; rejects where it can't be reached. */
  async reach(): Promise<void> {
    const [definition] = this.#definitions.values();
    if (definition !== undefined) await this.#engine.find(definition.queue, randomUUID());
  }

  /** @internal The first half: what is still flushed enqueues its jobs. */
  stopWorkers(): Promise<number> {
    const stopping = this.#engine.stop();
    for (const { queue } of this.#definitions.values()) this.#startQueue.forget(queue.name);
    return this.#underWay.end(stopping, (error) => this.#tellOfEngine('*', error));
  }

  async #stopAll(): Promise<number> {
    try {
      const left = await this.stopWorkers();
      for (const watch of this.#watches) {
        watch.end?.();
        watch.end = undefined;
      }
      return left;
    } finally {
      this.#stop.forget();
    }
  }

  #tellOfEngine(queue: string, error: unknown): void {
    this.#tell({ task: undefined, queue, id: undefined, attempt: undefined, final: false, tokens: [], error });
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

  #settle(name: string, handler: AnyHandler, options: TaskOptions & Partial<BatchOptions>): TaskDefinition {
    const definition = defineTask(name, handler, options);
    refuseUnservable(definition, this.#serializer, this.#engine);
    return definition;
  }

  #add(definition: TaskDefinition): void {
    this.#refuseConflicts(definition);
    this.#definitions.set(definition.name, definition);
  }

  #refuseConflicts({ name, queue, isBatch }: TaskDefinition): void {
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
  }
}
