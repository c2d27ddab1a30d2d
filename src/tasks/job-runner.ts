import type { EntityManager } from '@mikro-orm/core';
import type { EntitySerializer } from '../entity-serializer.ts';
import { globalManagers, runInRequest } from '../orm/context.ts';
import { isDatabaseFailure } from '../orm/platform.ts';
import { isEnvelope } from '../wire/envelope.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../wire/json.ts';
import type { Outcome, ReceivedJob } from './engine.ts';
import { kept, postpone, readJobs, retry, unreadable } from './outcome.ts';
import type { Seal } from './seal.ts';
import type { TaskDefinition } from './task-definition.ts';
import type { JobContext } from './task.ts';

/** What Tasks puts beside the data of a job. */
export interface JobMetadata extends JsonObject {
  readonly name: string;
  /** What the option `context` captured. */
  readonly context?: JsonValue;
}

/** How all jobs of a Tasks are run. */
export interface RunnerOptions {
  /** Runs a job's work in what its producer captured. */
  run(context: JsonValue | undefined, em: EntityManager, next: () => Promise<void>): Promise<void>;
}

/** A job with what its seal has given free. */
export interface OpenedJob {
  readonly job: ReceivedJob;
  readonly data: unknown;
}

/** Opened jobs → outcomes. Each job, or batch, has an EntityManager and a request context of its own. */
export class JobRunner {
  readonly #serializer: EntitySerializer;
  readonly #seal: Seal;
  readonly #options: RunnerOptions;

  constructor(serializer: EntitySerializer, seal: Seal, options: RunnerOptions) {
    this.#serializer = serializer;
    this.#seal = seal;
    this.#options = options;
  }

  /** Runs one call of the task's handler: for one job, or for a batch of one context. */
  async run(task: TaskDefinition, jobs: readonly OpenedJob[]): Promise<readonly Outcome[]> {
    const call = new Call(task, jobs, this.#serializer, this.#seal);
    const context = metadataOf(jobs[0]!.data)?.context;
    try {
      await runInRequest(globalManagers(this.#serializer), (em) => this.#options.run(context, em, () => call.run(em)));
    } catch (error) {
      call.fail(error);
    }
    return call.outcomes;
  }
}

/** One call of a handler, from the data of its jobs to their outcomes. */
class Call {
  readonly #task: TaskDefinition;
  readonly #jobs: readonly OpenedJob[];
  readonly #serializer: EntitySerializer;
  readonly #seal: Seal;
  readonly #outcomes: (Outcome | undefined)[];
  /** Where the next failure would be: what is before the handler uses up no attempt if the database is to blame. */
  #stage: 'context' | 'begin' | 'reading' | 'handler' = 'context';

  constructor(task: TaskDefinition, jobs: readonly OpenedJob[], serializer: EntitySerializer, seal: Seal) {
    this.#task = task;
    this.#jobs = jobs;
    this.#serializer = serializer;
    this.#seal = seal;
    this.#outcomes = jobs.map(() => undefined);
  }

  /** The outcomes of a call that has run or failed. */
  get outcomes(): readonly Outcome[] {
    return this.#outcomes.map(
      (outcome) => outcome ?? retry(new Error('The job was not run: context.run() did not call next().')),
    );
  }

  /** A failure of the handler, the database or the context: whatever has no outcome is tried again. */
  fail(error: unknown): void {
    const isPostponed = this.#stage === 'begin' || (this.#stage !== 'handler' && isDatabaseFailure(error));
    const failed = isPostponed ? postpone(error) : retry(error);
    for (const [index, outcome] of this.#outcomes.entries()) this.#outcomes[index] = outcome ?? failed;
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
    this.fail(error);
    throw error;
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
    for (const [at, { job, index }] of live.entries()) await this.#complete(em, job, index, results[at]);
  }

  async #revive(em: EntityManager): Promise<unknown[]> {
    const options = { ...this.#task.revive, signed: false, em } as const;
    const list = this.#jobs.map(({ data }) => data);
    const results = await readJobs(this.#serializer, list, this.#seal.plain, options);
    return results.map((result, index) => {
      if (result.status === 'fulfilled') return result.value;
      const { enqueuedAt } = this.#jobs[index]!.job;
      this.#outcomes[index] = unreadable(enqueuedAt, result.reason, this.#task.retryMissingForMs);
      return undefined;
    });
  }

  /** A result that can't be kept is given up: another run would only repeat the work. In a transaction it undoes that. */
  async #complete(em: EntityManager, job: ReceivedJob, index: number, result: unknown): Promise<void> {
    const { queue } = this.#task;
    const outcome = kept(result, () => {
      const envelope = this.#serializer.encode(result, { sign: false });
      return this.#seal.closeResult(envelope, { queue: queue.name, id: job.id });
    });
    this.#outcomes[index] = outcome;
    if (!this.#task.transactional) return;
    if (outcome.status !== 'completed') throw new Error(outcome.error.message);
    await job.complete!(em, outcome.output);
  }
}

function jobContext(name: string, job: ReceivedJob, em: EntityManager): JobContext {
  const { id, attempt, enqueuedAt, signal } = job;
  return { id, name, attempt, enqueuedAt, em, signal };
}

/** What Tasks has put beside a job's data; undefined for jobs of other producers. */
export function metadataOf(data: unknown): JobMetadata | undefined {
  const task = isEnvelope(data) ? data['task'] : undefined;
  const isOurs = isJsonObject(task) && typeof task['name'] === 'string';
  return isOurs ? (task as JobMetadata) : undefined;
}
