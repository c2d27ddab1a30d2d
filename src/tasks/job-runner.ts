import type { EntityManager } from '@mikro-orm/core';
import type { EntitySerializer } from '../entity-serializer.ts';
import { globalManagers, runInRequest } from '../orm/context.ts';
import { isDatabaseFailure } from '../orm/orm-error.ts';
import type { JsonObject } from '../wire/json.ts';
import type { Outcome, ReceivedJob } from './engine.ts';
import { metadataOf } from './job-metadata.ts';
import { failed, postpone, readJobs, retry, unreadable, waitedMs } from './outcome.ts';
import type { Seal } from './seal.ts';
import { readCaptured, type TaskContext } from './task-context.ts';
import type { TaskDefinition } from './task-definition.ts';
import type { JobContext } from './task.ts';
import { type JobTrace, traced } from './tracing.ts';
import { UnflushedWarning } from './unflushed-warning.ts';

/** What a JobRunner works with. */
export interface RunnerParts {
  readonly serializer: EntitySerializer;
  readonly seal: Seal;
  readonly context: TaskContext | undefined;
  /** Told of what failed of a job whose work is done all the same. */
  onLoss(task: TaskDefinition, job: OpenedJob, error: unknown): void;
}

/** A job with what its seal has given free. */
export interface OpenedJob {
  readonly job: ReceivedJob;
  readonly data: unknown;
}

/** Opened jobs → outcomes. Each job, or batch, has an EntityManager and a request context of its own. */
export class JobRunner {
  readonly #parts: RunnerParts;
  readonly #unflushed = new UnflushedWarning();

  constructor(parts: RunnerParts) {
    this.#parts = parts;
  }

  /** Runs one call of the task's handler: for one job, or for a batch of one context. Never rejects. */
  async run(task: TaskDefinition, jobs: readonly OpenedJob[]): Promise<readonly Outcome[]> {
    const call = new Call(task, jobs, this.#parts, this.#unflushed);
    const traces = jobs.map(({ job }) => traceOf(task, job));
    await traced(traces, async () => {
      await this.#call(call, jobs);
      for (const [index, outcome] of call.outcomes.entries()) {
        const { status, cause } = { cause: undefined, ...outcome };
        Object.assign(traces[index]!, { status, error: cause });
      }
    });
    return call.outcomes;
  }

  async #call(call: Call, jobs: readonly OpenedJob[]): Promise<void> {
    const { serializer, context } = this.#parts;
    const captured = context && metadataOf(jobs[0]!.data)?.context;
    let isRead = false;
    try {
      await runInRequest(globalManagers(serializer), async (em) => {
        const value = await readCaptured(serializer, captured, em);
        isRead = true;
        await (context === undefined ? call.run(em) : context.run(value, em, () => call.run(em)));
      });
    } catch (error) {
      if (isRead) call.fail(error);
      else call.refuse(error);
    }
  }
}

function traceOf({ name, queue }: TaskDefinition, { id, attempt, enqueuedAt }: ReceivedJob): JobTrace {
  return { task: name, queue: queue.name, id, attempt, enqueuedAt };
}

/** One call of a handler, from the data of its jobs to their outcomes. */
class Call {
  readonly #task: TaskDefinition;
  readonly #jobs: readonly OpenedJob[];
  readonly #parts: RunnerParts;
  readonly #unflushed: UnflushedWarning;
  readonly #outcomes: (Outcome | undefined)[];
  /** What the context has heard of. */
  #thrown: unknown;
  /** Where the next failure would be: what is before the handler uses up no attempt if the database is to blame. */
  #stage: 'context' | 'begin' | 'reading' | 'handler' = 'context';

  constructor(task: TaskDefinition, jobs: readonly OpenedJob[], parts: RunnerParts, unflushed: UnflushedWarning) {
    this.#task = task;
    this.#jobs = jobs;
    this.#parts = parts;
    this.#unflushed = unflushed;
    this.#outcomes = jobs.map(() => undefined);
  }

  /** The outcomes of a call that has run or failed. */
  get outcomes(): readonly Outcome[] {
    return this.#outcomes.map(
      (outcome) => outcome ?? retry(new Error('The job was not run: context.run() did not call next().')),
    );
  }

  /** A failure of the handler, the database or the context: of whatever has no outcome. */
  fail(error: unknown): void {
    // The context’s own, after the work: it undoes none.
    if (this.#isOver && error !== this.#thrown) {
      for (const job of this.#jobs) this.#parts.onLoss(this.#task, job, error);
    }
    const isPostponed = this.#stage === 'begin' || (this.#stage !== 'handler' && isDatabaseFailure(error));
    const own = isPostponed ? postpone(error) : failed(error);
    for (const [index, outcome] of this.#outcomes.entries()) this.#outcomes[index] = outcome ?? own;
  }

  /** An error of what the jobs carry. */
  refuse(error: unknown): void {
    for (const index of this.#outcomes.keys()) this.#outcomes[index] = this.#unreadable(index, error);
  }

  async run(em: EntityManager): Promise<void> {
    if (!this.#task.transactional) return this.#handle(em).catch((error: unknown) => this.#failAndThrow(error));
    this.#stage = 'begin';
    await em
      .transactional((tx) => this.#handle(tx))
      .catch((error: unknown) => {
        // Rolled back: what was completed in the transaction is not.
        for (const [index, outcome] of this.#outcomes.entries()) {
          if (outcome?.status === 'completed') this.#outcomes[index] = undefined;
        }
        this.#failAndThrow(error);
      });
  }

  #failAndThrow(error: unknown): never {
    this.#thrown = error;
    this.fail(error);
    throw error;
  }

  get #isOver(): boolean {
    return !this.#outcomes.includes(undefined);
  }

  async #handle(em: EntityManager): Promise<void> {
    this.#stage = 'reading';
    const args = await this.#revive(em);
    const live = this.#jobs.flatMap(({ job }, index) => (this.#outcomes[index] === undefined ? { job, index } : []));
    if (live.length === 0) return;
    const contexts = live.map(({ job }) => jobContext(this.#task.name, job, em));
    this.#stage = 'handler';
    const results = await this.#task.handle(
      live.map(({ index }) => args[index]),
      contexts,
    );
    // Before the results are encoded: what they name must have its row by then.
    if (this.#task.transactional) await em.flush();
    else this.#unflushed.look(this.#task.name, em);
    for (const [at, { index }] of live.entries()) await this.#complete(em, this.#jobs[index]!, index, results[at]);
  }

  async #revive(em: EntityManager): Promise<unknown[]> {
    const options = { ...this.#task.revive, signed: false, em } as const;
    const list = this.#jobs.map(({ data }) => data);
    const results = await readJobs(this.#parts.serializer, list, this.#parts.seal.plain, options);
    return results.map((result, index) => {
      if (result.status === 'fulfilled') return result.value;
      this.#outcomes[index] = this.#unreadable(index, result.reason);
      return undefined;
    });
  }

  #unreadable(index: number, error: unknown): Outcome {
    const { queue, retryMissingForMs } = this.#task;
    return unreadable(error, waitedMs(this.#jobs[index]!.job.attempt, queue.retries) < retryMissingForMs);
  }

  async #complete(em: EntityManager, opened: OpenedJob, index: number, result: unknown): Promise<void> {
    const output = this.#output(opened, result);
    this.#outcomes[index] = { status: 'completed', output };
    if (this.#task.transactional) await opened.job.complete!(em, output);
  }

  /** The work is done: a result that can't be kept undoes none of it. */
  #output(opened: OpenedJob, result: unknown): JsonObject | undefined {
    const { queue, keepsResult } = this.#task;
    if (result === undefined || !keepsResult) return undefined;
    const { serializer, seal, onLoss } = this.#parts;
    try {
      const envelope = serializer.encode(result, { sign: false });
      return seal.closeResult(envelope, { queue: queue.name, id: opened.job.id });
    } catch (error) {
      onLoss(this.#task, opened, error);
      return undefined;
    }
  }
}

function jobContext(name: string, job: ReceivedJob, em: EntityManager): JobContext {
  const { id, attempt, enqueuedAt, signal } = job;
  return { id, name, attempt, enqueuedAt, em, signal };
}
