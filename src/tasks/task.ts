import type { AnyEntity, EntityManager } from '@mikro-orm/core';
import type { AnyUpgrade } from '../class-transformer/upgrade.ts';
import { aCount, type Check, check, isCount, isName, milliseconds, oneOf, whole } from '../check.ts';
import { ByReferenceError } from '../errors.ts';
import { anUpgrade, DESERIALIZE_CHECKS, type DeserializeOptions } from '../options.ts';
import type { EntityOf, EntityType } from '../orm/entity-class.ts';
import type { Referable, Revived } from '../types.ts';
import type { EntityToken } from '../wire/token.ts';
import type { Retries } from './engine.ts';
import type { JobHandle } from './job-handle.ts';
import { markMethod, markPrototype } from './task-marks.ts';

/** What a handler learns of its job. */
export interface JobContext {
  /** The job's id, as its handle has it. */
  readonly id: string;
  /** The task's name. */
  readonly name: string;
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** When it was enqueued. */
  readonly enqueuedAt: Date;
  /** The job's own EntityManager, to which the global one resolves while the handler runs. */
  readonly em: EntityManager;
  /** Aborted when the job is no longer this worker's. */
  readonly signal: AbortSignal;
}

/** How arguments that an earlier release has made become those of now. */
export interface Upgrade<Old extends object, New> extends AnyUpgrade {
  /** The class that was `as` then. */
  readonly from: new () => Old;
  /** Makes arguments of now of an instance of it. */
  readonly to: (old: Old) => New | Promise<New>;
}

/**
 * Upgrades to `Args` from one earlier class, or from several, the newest first: each leads to `Args`, or to one of the
 * classes before it in the list.
 */
export type Upgrades<Args, Old extends object, Olds extends readonly object[]> =
  | Upgrade<Old, Args>
  | { readonly [Index in keyof Olds]: Upgrade<Olds[Index], Args | Olds[number]> };

/** How a task is worked, and how its arguments are read: `{ retries: { limit: 2 }, missing: 'null' }`. */
export interface TaskOptions<Up = AnyUpgrade | readonly AnyUpgrade[]> extends Pick<
  DeserializeOptions,
  'as' | 'only' | 'missing' | 'populate' | 'filters' | 'lockMode' | 'drift'
> {
  /**
   * Reads jobs of earlier releases: `{ as: Args, upgrade: { from: OldArgs, to: (old) => new Args(…) } }`, or a list,
   * the newest first. A job that does not fit `as` is read as the first of these that it fits; `to` gets an instance
   * with the current rows. What `to` throws fails the attempt.
   * @defaultValue none
   */
  readonly upgrade?: Up;
  /**
   * How long a missing row may take to appear, once the job is due: until its retries have waited for so many
   * milliseconds in all the job is retried, then discarded.
   * @defaultValue 10,000
   */
  readonly retryMissingForMs?: number;
  /**
   * How a failed job is tried again; what is left out is as by default.
   * @defaultValue `{ limit: 5, delayMs: 1_000, backoff: true }`: 5 retries, the first after a second, then twice as
   * long each time
   */
  readonly retries?: Partial<Retries>;
  /**
   * Jobs of this task at once in one process.
   * @defaultValue 1
   */
  readonly concurrency?: number;
  /**
   * The handler's writes commit together with the job's completion, so that they happen exactly once. Keep such
   * handlers short: the transaction is open while they run. Needs an engine in the application's database.
   * @defaultValue false
   */
  readonly transactional?: boolean;
  /**
   * The engine's queue. Tasks may share one.
   * @defaultValue the task's name
   */
  readonly queue?: string;
  /**
   * False where nobody asks for what the handler returns: it is not kept.
   * @defaultValue true
   */
  readonly result?: boolean;
}

/** What a producer has to know of a task that another program defines; the same there. */
export interface DeclareOptions extends Pick<TaskOptions, 'queue' | 'retries'> {}

/** How a task is worked whose handler takes several jobs at once. */
export interface BatchOptions<Up = AnyUpgrade | readonly AnyUpgrade[]> extends TaskOptions<Up> {
  /** The handler receives up to so many jobs at once (true: 100), revived together: one query per model for all. */
  readonly batch: true | number;
}

/** When a job may start, and with whose transaction: `sendReminder.delay({ user }, { delayMs: 60_000 })`. */
export interface DelayOptions {
  /**
   * Whose transaction the job is part of.
   * @defaultValue that of the entities in the arguments, else the ambient one
   */
  readonly em?: EntityManager;
  /**
   * Milliseconds until the job may start.
   * @defaultValue 0
   */
  readonly delayMs?: number;
  /**
   * When the job may start, instead of `delayMs`.
   * @defaultValue none
   */
  readonly at?: Date;
  /**
   * While a job of this task with an equal value has not started, this one is dropped, and its handle is the first
   * one's. Rows are equal by their token: `{ dedupe: user }`.
   * @defaultValue none
   */
  readonly dedupe?: unknown;
  /**
   * Larger goes first.
   * @defaultValue 0
   */
  readonly priority?: number;
}

/** What a task does: `async ({ user }: { user: User }, job) => …`, its entities as their rows are now. */
export type Handler<Args, Result> = (args: Revived<Args>, job: JobContext) => Result | Promise<Result>;

/** Results in the order of the jobs; nothing where none are needed. */
export type BatchHandler<Args, Result> = (
  args: Revived<Args>[],
  jobs: readonly JobContext[],
) => readonly Result[] | undefined | void | Promise<readonly Result[] | undefined | void>;

/**
 * A task as a producer has it. `Given` is what `delay` takes for the arguments, `Stored` what the result comes back as.
 */
export interface DeclaredTask<Args, Result, Given = Referable<Args>, Stored = Revived<Result>> {
  /** The task's name. */
  readonly taskName: string;
  /**
   * Runs in a worker, with the current rows. On an engine in the application's database the job is part of the
   * transaction: rolled back with it, and delivered once it has committed; on others it is enqueued after the commit.
   * @throws as `serialize`; E_TRANSACTION_MISMATCH for entities of two transactions, E_UNSUPPORTED for a transaction of
   * another database than the engine's, E_INVALID_OPTION.
   */
  delay(args: Given, options?: DelayOptions): Promise<JobHandle<Stored>>;
  /**
   * The same for many, in one statement where the engine can.
   * @throws as `delay`.
   */
  bulk(list: readonly Given[], options?: Omit<DelayOptions, 'dedupe'>): Promise<JobHandle<Stored>[]>;
  /**
   * Runs whenever the cron expression says so: `nightly.schedule('0 3 * * *', {}, { timeZone: 'Europe/Berlin' })`. Once
   * more replaces the schedule; the time zone is UTC unless it is given.
   * @throws as `serialize`; E_UNSUPPORTED of an engine without a clock, or for a time zone that it can't; what the
   * engine refuses a cron expression with.
   */
  schedule(cron: string, args: Given, options?: { readonly timeZone?: string }): Promise<void>;
  /** Ends the schedule. */
  unschedule(): Promise<void>;
  /** The handle of a job whose id was kept: `await sendReminder.handle(id).state()`. */
  handle(id: string): JobHandle<Stored>;
}

/** A function that can also run later, in a worker: `Task<Args, Result>`, by what its handler takes and resolves with. */
export interface Task<Args, Result, Given = Referable<Args>, Stored = Revived<Result>> extends DeclaredTask<
  Args,
  Result,
  Given,
  Stored
> {
  /** Runs here and now, without the engine; rejects with what the handler throws. */
  (args: Args): Promise<Result>;
}

/** A method that can be a task: of one argument, and the job. */
export type TaskMethod = (this: never, args: never, job: JobContext) => unknown;

/** As in `define`, a method has to take what arrives: a `Ref<User>` arrives as a `User`. */
type Receiving<Method extends TaskMethod> =
  Revived<Parameters<Method>[0]> extends Parameters<Method>[0] ? unknown : never;

/** For methods of one argument; it leaves them as they are. */
export interface TaskDecorator {
  /** As a TC39 decorator. */
  <Method extends TaskMethod>(method: Method, context: ClassMethodDecoratorContext & Receiving<Method>): void;
  /** As a legacy decorator. */
  <Method extends TaskMethod>(
    target: object,
    name: string | symbol,
    descriptor: TypedPropertyDescriptor<Method> & Receiving<Method>,
  ): void;
}

/**
 * A method that is also a task, as a decorator, legacy or TC39: `@Task('send-reminder') async send({ user }: Args) {…}`.
 * `tasks.of(Mails).send.delay({ user })` enqueues it, `tasks.register(mails)` has an instance run it; called, the method
 * is what it was. The name is what jobs carry: it outlives renames, and what minifiers do to them.
 *
 * The options are those of `define`; a method takes one job at a time.
 * @throws E_INVALID_OPTION.
 */
export function Task(name: string, options: TaskOptions = {}): TaskDecorator {
  checkMethodTask(name, options);
  const mark = { name, options };
  const decorate = (
    target: object,
    at: string | symbol | { readonly kind: string; readonly name: string | symbol; readonly [flag: string]: unknown },
    descriptor?: PropertyDescriptor,
  ): void => {
    const isLegacy = typeof at !== 'object';
    const isMethod = isLegacy
      ? typeof target === 'object' && typeof descriptor?.value === 'function'
      : at.kind === 'method' && !at['static'] && !at['private'];
    if (!isMethod) throw ByReferenceError.invalidOption(`target of @Task("${name}")`, 'a public method', target);
    if (isLegacy) markPrototype(target, at, mark);
    else markMethod(target, mark);
  };
  return decorate as TaskDecorator;
}

/** What `onFlush` tells a task. */
export interface Change<Entity extends object = AnyEntity> {
  /** What happened to the row. */
  readonly change: 'create' | 'update' | 'delete';
  /** The row's token. */
  readonly token: EntityToken;
  /** The current row; null where it is deleted, or gone by the time the job runs. */
  readonly entity: Entity | null;
}

/** The change of one of several models. */
export type ChangeOf<Model> = Model extends EntityType ? Change<EntityOf<Model>> : never;

/** A task that can be told of changes. Its `delay` is no method, whose parameters TypeScript would not hold to `Told`. */
export interface ChangeTask<Told> {
  /** The name that its jobs carry. */
  readonly taskName: string;
  /** Enqueues a job of it. */
  readonly delay: (args: Told) => Promise<unknown>;
}

const TASK_CHECKS: Record<keyof TaskOptions | 'batch', Check> = {
  as: DESERIALIZE_CHECKS.as,
  upgrade: anUpgrade,
  only: DESERIALIZE_CHECKS.only,
  missing: DESERIALIZE_CHECKS.missing,
  populate: DESERIALIZE_CHECKS.populate,
  filters: DESERIALIZE_CHECKS.filters,
  lockMode: DESERIALIZE_CHECKS.lockMode,
  drift: DESERIALIZE_CHECKS.drift,
  retryMissingForMs: milliseconds,
  retries: ['an object', (value) => typeof value === 'object' && value !== null],
  concurrency: aCount,
  transactional: oneOf(true, false),
  queue: ['a name', isName],
  result: oneOf(true, false),
  batch: ['true or a positive integer', (value) => value === true || isCount(value)],
};

const RETRIES_CHECKS: Record<keyof Retries, Check> = {
  limit: whole,
  delayMs: milliseconds,
  backoff: oneOf(true, false),
};

const DECLARE_CHECKS: Record<keyof DeclareOptions, Check> = { queue: TASK_CHECKS.queue, retries: TASK_CHECKS.retries };

const DELAY_CHECKS: Record<keyof DelayOptions, Check> = {
  em: DESERIALIZE_CHECKS.em,
  delayMs: milliseconds,
  at: ['a valid Date, and no delayMs beside it', (value) => value instanceof Date && !Number.isNaN(value.getTime())],
  dedupe: ['any value', () => true],
  priority: ['an integer', Number.isSafeInteger],
};

export function checkDeclareOptions(name: unknown, options: DeclareOptions): void {
  if (!isName(name)) throw ByReferenceError.invalidOption('name of a task', 'a name', name);
  check(options, DECLARE_CHECKS, 'option ');
  if (options.retries !== undefined) check(options.retries, RETRIES_CHECKS, 'option retries.');
}

/** The class is the same for all jobs, so that nothing could tell a producer which methods take lists. */
function checkMethodTask(name: unknown, options: TaskOptions): void {
  checkTaskOptions(name, Task, options);
  const { batch } = options as Partial<BatchOptions>;
  if (batch !== undefined) throw ByReferenceError.invalidOption('option batch of @Task', 'define() for it', batch);
}

export function checkTaskOptions(name: unknown, handler: unknown, options: TaskOptions & Partial<BatchOptions>): void {
  if (!isName(name)) throw ByReferenceError.invalidOption('name of a task', 'a name', name);
  if (typeof handler !== 'function')
    throw ByReferenceError.invalidOption(`handler of "${String(name)}"`, 'a function', handler);
  check(options, TASK_CHECKS, 'option ');
  if (options.retries !== undefined) check(options.retries, RETRIES_CHECKS, 'option retries.');
}

export function checkDelayOptions(options: DelayOptions): void {
  check(options, DELAY_CHECKS, 'option ');
  if (options.at === undefined || options.delayMs === undefined) return;
  throw ByReferenceError.invalidOption('option at', DELAY_CHECKS.at[0], options.at);
}
