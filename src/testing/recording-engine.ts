import type { EntityManager } from '@mikro-orm/core';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import { joinTransaction } from '../orm/joined-transaction.ts';
import type {
  Engine,
  JobFailure,
  JobSnapshot,
  JobState,
  NewJob,
  Outcome,
  QueueSettings,
  RunJobs,
} from '../tasks/engine.ts';
import { JobFailedError } from '../tasks/job-handle.ts';
import { metadataOf } from '../tasks/job-metadata.ts';
import { afterCommit } from '../transactions/after-commit.ts';
import type { JsonObject, JsonValue } from '../wire/json.ts';

/** A task, by what is asked of it here. */
interface AnyTask<Given = never> {
  readonly taskName: string;
  delay(args: Given): unknown;
}

/** A job that was enqueued. */
export interface RecordedJob {
  /** That of its handle. */
  readonly id: string;
  /** The name of its task. */
  readonly task: string;
  /** The name of its queue: that of its task, unless the option says otherwise. */
  readonly queue: string;
  /** With tokens where its entities were: `expect(job.args).toEqual({ user: serializer.token(user) })`. */
  readonly args: unknown;
  /** Milliseconds that a real engine would wait. */
  readonly delayMs: number;
  /** Larger goes first, on a real engine. */
  readonly priority: number;
  /** `waiting` until it is run, and while it is to be tried again. */
  readonly state: JobState;
  /** Attempts that were run. */
  readonly attempt: number;
  /** What its last attempt failed with. */
  readonly failure: JobFailure | undefined;
}

/** An engine for the tests of an application: it keeps what is enqueued, and runs it when it is told to. */
export interface RecordingEngine extends Engine {
  /** What was enqueued, in its order. */
  jobs(): readonly RecordedJob[];
  /**
   * The same of one task, and with equal arguments, where they are given: rows are equal whatever object stands for
   * them. `expect(engine.jobs(welcome, { user })).toHaveLength(1)`.
   * @throws as `serialize`, for the arguments.
   */
  jobs<Given>(task: AnyTask<Given>, args?: NoInfer<Given>): readonly RecordedJob[];
  /**
   * Runs what waits, by the tasks that `work()` has started, and what that enqueues, until nothing waits; resolves with
   * what ran. A job of a transaction that is open, as the one that a test rolls back in the end, runs inside it. No
   * delay is waited for, and each job has one attempt a call: one that is to be retried waits for the next call.
   * @throws JobFailedError for the first that failed, when all have run; its `cause` is what the handler threw.
   * E_INVALID_OPTION for a job whose task is not started.
   */
  run(): Promise<readonly RecordedJob[]>;
  /** Forgets everything. */
  clear(): void;
}

interface Job extends RecordedJob {
  /** As an engine stores it: what a handler does to its arguments can't reach a retry. */
  readonly text: string;
  readonly limit: number;
  readonly dedupeKey: string | undefined;
  readonly enqueuedAt: Date;
  /** Whose transaction it is part of. */
  readonly em: EntityManager | undefined;
  state: JobState;
  attempt: number;
  failure: JobFailure | undefined;
  cause: unknown;
  output: JsonValue | undefined;
}

/**
 * Keeps what is enqueued, for the tests of an application: also inside a transaction that is never committed. What is
 * rolled back is forgotten, a savepoint's jobs with it.
 *
 * ```ts
 * const engine = recordingEngine();
 * const tasks = new Tasks(serializer, engine);
 * // … what is tested
 * expect(engine.jobs(welcome, { user })).toHaveLength(1);
 * await tasks.work();
 * await engine.run();
 * ```
 */
export function recordingEngine(): RecordingEngine {
  return new JobRecorder();
}

class JobRecorder implements RecordingEngine {
  /** So that jobs are handed over inside a transaction, and not after a commit that may never come. */
  readonly isTransactional = true;
  #jobs: Job[] = [];
  #serializer: EntitySerializer | undefined;
  readonly #workers = new Map<string, RunJobs>();

  attach(serializer: EntitySerializer): void {
    this.#serializer = serializer;
  }

  jobs(task?: AnyTask, args?: unknown): readonly RecordedJob[] {
    const own = task === undefined ? this.#jobs : this.#jobs.filter((job) => job.task === task.taskName);
    if (args === undefined) return own.map(recorded);
    const key = this.#serializer!.dedupeKey(args);
    return own.filter((job) => this.#serializer!.dedupeKey(job.args) === key).map(recorded);
  }

  async run(): Promise<readonly RecordedJob[]> {
    const ran = new Set<Job>();
    const next = (): Job | undefined => this.#jobs.find((job) => job.state === 'waiting' && !ran.has(job));
    for (let job = next(); job !== undefined; job = next()) {
      ran.add(job);
      await this.#run(job);
    }
    for (const { id, failure, cause } of ran) {
      if (failure !== undefined) throw Object.assign(new JobFailedError(id, failure), { cause });
    }
    return [...ran].map(recorded);
  }

  clear(): void {
    this.#jobs = [];
  }

  async enqueue(jobs: readonly NewJob[], em: EntityManager | undefined): Promise<readonly string[]> {
    return jobs.map((job) => this.#add(job, em));
  }

  /** It has no clock. */
  async schedule(): Promise<void> {}

  async unschedule(): Promise<void> {}

  async cancel({ name }: QueueSettings, id: string): Promise<boolean> {
    const isMeant = (job: Job): boolean => job.queue === name && job.id === id && job.state === 'waiting';
    const isThere = this.#jobs.some(isMeant);
    this.#jobs = this.#jobs.filter((job) => !isMeant(job));
    return isThere;
  }

  async find({ name }: QueueSettings, id: string): Promise<JobSnapshot | undefined> {
    const job = this.#jobs.find((one) => one.queue === name && one.id === id);
    return job && { state: job.state, attempt: job.attempt, output: job.output ?? job.failure };
  }

  async work({ name }: QueueSettings, run: RunJobs): Promise<void> {
    this.#workers.set(name, run);
  }

  async stop(): Promise<void> {
    this.#workers.clear();
  }

  #add(given: NewJob, em: EntityManager | undefined): string {
    const { id, queue, data, delayMs, priority, dedupeKey } = given;
    const same = (job: Job): boolean =>
      job.state === 'waiting' && job.queue === queue.name && job.dedupeKey === dedupeKey;
    const waiting = dedupeKey === undefined ? undefined : this.#jobs.find(same);
    if (waiting !== undefined) return waiting.id;
    const job: Job = {
      id,
      task: metadataOf(data)?.name ?? queue.name,
      queue: queue.name,
      args: this.#serializer!.tokensOf(data),
      delayMs,
      priority,
      text: JSON.stringify(data),
      limit: queue.retries.limit,
      dedupeKey,
      enqueuedAt: new Date(),
      em,
      state: 'waiting',
      attempt: 0,
      failure: undefined,
      cause: undefined,
      output: undefined,
    };
    this.#jobs.push(job);
    const forget = (): void => {
      this.#jobs = this.#jobs.filter((one) => one !== job);
    };
    if (em !== undefined) afterCommit(em, () => undefined, { onRollback: forget, onUnknown: () => undefined });
    return id;
  }

  async #run(job: Job): Promise<void> {
    const run = this.#workers.get(job.queue);
    if (run === undefined) {
      const expected = `started by work(), to run the job of "${job.task}"`;
      throw ByReferenceError.invalidOption('tasks of a recordingEngine', expected, job.queue);
    }
    job.attempt++;
    job.state = 'active';
    const received = {
      id: job.id,
      data: JSON.parse(job.text) as JsonObject,
      attempt: job.attempt,
      enqueuedAt: job.enqueuedAt,
      signal: new AbortController().signal,
      complete: async (): Promise<void> => {},
    };
    const work = (): Promise<readonly Outcome[]> => run([received]);
    const [outcome] = await (job.em === undefined ? work() : joinTransaction(job.em, work));
    if (outcome!.status === 'completed') {
      Object.assign(job, { state: 'completed', output: outcome!.output, failure: undefined });
      return;
    }
    const { status, error: failure, cause } = outcome!;
    if (status === 'postpone') job.attempt--;
    const isWaiting = status === 'postpone' || (status === 'retry' && job.attempt <= job.limit);
    Object.assign(job, { state: isWaiting ? 'waiting' : 'failed', failure, cause });
  }
}

/** As it is now. */
const recorded = ({ id, task, queue, args, delayMs, priority, state, attempt, failure }: Job): RecordedJob => ({
  id,
  task,
  queue,
  args,
  delayMs,
  priority,
  state,
  attempt,
  failure,
});
