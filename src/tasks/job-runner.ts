import type { EntityManager } from '@mikro-orm/core';
import type { EntitySerializer } from '../entity-serializer.ts';
import { isEnvelope } from '../envelope.ts';
import { ByReferenceError } from '../errors.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts';
import type { DeserializeOptions } from '../options.ts';
import { globalManagers, isOrmError, runInRequest } from '../orm.ts';
import type { JobFailure, Outcome, ReceivedJob } from './engine.ts';
import { readJobs } from './read-jobs.ts';
import type { JobContext } from './task.ts';
import type { TaskDefinition } from './task-definition.ts';

/** What Tasks puts beside the data of a job. */
export interface JobMetadata extends JsonObject {
  readonly name: string;
  /** What the option `context` captured. */
  readonly context?: JsonValue;
}

/** How all jobs of a Tasks are run. */
export interface RunnerOptions {
  readonly plain: 'pass' | 'refuse';
  readonly signed: NonNullable<DeserializeOptions['signed']>;
  /** Runs a job's work in what its producer captured. */
  run(context: JsonValue | undefined, em: EntityManager, next: () => Promise<void>): Promise<void>;
}

/** Received jobs → outcomes. Each job, or batch, has an EntityManager and a request context of its own. */
export class JobRunner {
  readonly #serializer: EntitySerializer;
  readonly #options: RunnerOptions;

  constructor(serializer: EntitySerializer, options: RunnerOptions) {
    this.#serializer = serializer;
    this.#options = options;
  }

  /** Runs one call of the task's handler: for one job, or for a batch of one context. */
  async run(task: TaskDefinition, jobs: readonly ReceivedJob[]): Promise<readonly Outcome[]> {
    const call = new Call(task, jobs, this.#serializer, this.#options);
    const context = this.contextOf(jobs[0]!);
    try {
      await runInRequest(globalManagers(this.#serializer), (em) => this.#options.run(context, em, () => call.run(em)));
    } catch (error) {
      call.fail(error);
    }
    return call.outcomes;
  }

  /** What was captured with a job; nothing of one whose signature is not what is demanded. */
  contextOf(job: ReceivedJob): JsonValue | undefined {
    const { signed } = this.#options;
    return signed === false || this.#serializer.isSigned(job.data, signed) ? metadataOf(job.data)?.context : undefined;
  }
}

/** One call of a handler, from the data of its jobs to their outcomes. */
class Call {
  readonly #task: TaskDefinition;
  readonly #jobs: readonly ReceivedJob[];
  readonly #serializer: EntitySerializer;
  readonly #options: RunnerOptions;
  readonly #outcomes: (Outcome | undefined)[];

  constructor(
    task: TaskDefinition,
    jobs: readonly ReceivedJob[],
    serializer: EntitySerializer,
    options: RunnerOptions,
  ) {
    this.#task = task;
    this.#jobs = jobs;
    this.#serializer = serializer;
    this.#options = options;
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
    for (const [index, outcome] of this.#outcomes.entries()) this.#outcomes[index] = outcome ?? retry(error);
  }

  async run(em: EntityManager): Promise<void> {
    if (!this.#task.transactional) return this.#handle(em).catch((error: unknown) => this.#failAndThrow(error));
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
    const args = await this.#revive(em);
    const live = this.#jobs.flatMap((job, index) => (this.#outcomes[index] === undefined ? { job, index } : []));
    if (live.length === 0) return;
    const contexts = live.map(({ job }) => contextOf(this.#task.name, job, em));
    const results = await this.#task.handle(
      live.map(({ index }) => args[index]),
      contexts,
    );
    // Before the results are encoded: what they name must have its row by then.
    if (this.#task.transactional) await em.flush();
    for (const [at, { job, index }] of live.entries()) await this.#complete(em, job, index, results[at]);
  }

  async #revive(em: EntityManager): Promise<unknown[]> {
    const options = { ...this.#task.revive, signed: this.#options.signed, em };
    const list = this.#jobs.map(({ data }) => data);
    const results = await readJobs(this.#serializer, list, this.#options.plain, options);
    return results.map((result, index) => {
      if (result.status === 'fulfilled') return result.value;
      const { enqueuedAt } = this.#jobs[index]!;
      this.#outcomes[index] = unreadable(enqueuedAt, result.reason, this.#task.retryMissingForMs);
      return undefined;
    });
  }

  /** A result that can't be kept is given up: another run would only repeat the work. In a transaction it undoes that. */
  async #complete(em: EntityManager, job: ReceivedJob, index: number, result: unknown): Promise<void> {
    const outcome = kept(this.#serializer, result);
    this.#outcomes[index] = outcome;
    if (!this.#task.transactional) return;
    if (outcome.status !== 'completed') throw new Error(outcome.error.message);
    await job.complete!(em, outcome.output);
  }
}

function contextOf(name: string, job: ReceivedJob, em: EntityManager): JobContext {
  const { id, attempt, enqueuedAt, signal } = job;
  return { id, name, attempt, enqueuedAt, em, signal };
}

/** What Tasks has put beside a job's data; undefined for jobs of other producers. */
export function metadataOf(data: unknown): JobMetadata | undefined {
  const task = isEnvelope(data) ? data['task'] : undefined;
  const isOurs = isJsonObject(task) && typeof task['name'] === 'string';
  return isOurs ? (task as JobMetadata) : undefined;
}

/** What an unreadable payload means: a row may still appear, a deploy may still come; else no retry will help. */
export function unreadable(enqueuedAt: Date, error: unknown, retryMissingForMs: number): Outcome {
  if (!(error instanceof ByReferenceError)) return retry(error);
  const isRetried = mayAppear(error) ? Date.now() - enqueuedAt.getTime() < retryMissingForMs : error.retryable;
  return isRetried ? retry(error) : { status: 'discard', error: describe(error) };
}

/** A row that a transaction under way may still bring. */
export const mayAppear = (error: unknown): boolean =>
  error instanceof ByReferenceError && (error.code === 'E_ENTITY_NOT_FOUND' || error.code === 'E_NOT_YET_VISIBLE');

/** A result as it is kept, or the end of a job whose result can't be. Nothing is kept of nothing. */
export function kept(serializer: EntitySerializer, result: unknown): Outcome {
  if (result === undefined) return { status: 'completed', output: undefined };
  try {
    return { status: 'completed', output: serializer.encode(result) };
  } catch (error) {
    return { status: 'discard', error: describe(error) };
  }
}

export const retry = (error: unknown): Outcome => ({ status: 'retry', error: describe(error) });

/** Messages of MikroORM and its drivers may quote rows, hidden properties among them: their kind and code say enough. */
export function describe(error: unknown): JobFailure {
  if (!(error instanceof Error)) return { name: 'Error', message: storable(printed(error)) };
  const [name, message] = [storable(error.name), storable(error.message)];
  if (error instanceof ByReferenceError) {
    const tokens = error.tokens.map((token) => token.toJSON().$token);
    return { name, message, code: error.code, retryable: error.retryable, path: error.path ?? null, tokens };
  }
  if (isOrmError(error)) {
    const { code } = error as { code?: unknown };
    return { name, message: `MikroORM or the database refused: ${name}`, code: typeof code === 'string' ? code : null };
  }
  return { name, message, stack: storable(error.stack ?? '') };
}

/** jsonb refuses NUL and lone surrogates. */
const storable = (text: unknown): string => printed(text).replaceAll('\0', '\uFFFD').toWellFormed();

function printed(value: unknown): string {
  try {
    return String(value);
  } catch {
    return 'a value that can’t be printed';
  }
}
