import type { EntitySerializer } from '../entity-serializer.ts';
import type { DeserializeOptions } from '../options.ts';
import { isEnvelope } from '../wire/envelope.ts';
import { isJsonObject, type JsonValue } from '../wire/json.ts';
import type { Engine, JobFailure, JobSnapshot, JobState, QueueSettings } from './engine.ts';
import { Seal } from './seal.ts';

/** A job that failed for good; `failure` is what it left. */
export class JobFailedError extends Error {
  override readonly name = 'JobFailedError';
  readonly failure: JobFailure;

  constructor(id: string, failure: JobFailure) {
    super(`Job ${id} failed: ${failure.message}`);
    this.failure = failure;
  }
}

/** What results are read by. */
interface Reading {
  readonly serializer: EntitySerializer;
  readonly seal: Seal;
}

/** A job, to ask after: what a web page needs to show progress. `Result` is what the handler returned, revived. */
export class JobHandle<Result> {
  /** With `dedupe` that of the job that was there first, once `enqueued` has settled. */
  id: string;
  /**
   * Settles when the engine has the job: at once, where the job is part of the transaction or there is none, or after
   * the commit. Rejects with what the engine refused it for; with E_ROLLED_BACK, when there is no job; with
   * E_COMMIT_UNKNOWN, when there is one although the rows that it is about may not have been committed.
   */
  enqueued: Promise<void> = Promise.resolve();
  readonly #engine: Engine;
  readonly #queue: QueueSettings;
  readonly #reading: Reading;

  /** @internal */
  constructor(id: string, engine: Engine, queue: QueueSettings, reading: Reading) {
    this.id = id;
    this.#engine = engine;
    this.#queue = queue;
    this.#reading = reading;
  }

  /** Undefined for a job that the engine does not know: rolled back, not committed yet, or long gone. */
  async state(): Promise<JobState | undefined> {
    return (await this.#find())?.state;
  }

  /** The attempt under way or the last one; 0 before the first. */
  async attempt(): Promise<number> {
    return (await this.#find())?.attempt ?? 0;
  }

  /**
   * What the handler returned, its entities as the rows of now; undefined while there is nothing yet. Throws
   * JobFailedError for a job that failed for good, E_BAD_SIGNATURE for the result of another one where jobs are signed,
   * and as `decode`.
   */
  async result(options: DeserializeOptions = {}): Promise<Result | undefined> {
    const job = await this.#find();
    if (job?.state === 'failed') throw new JobFailedError(this.id, failureOf(job.output));
    if (job?.state !== 'completed' || (job.output ?? undefined) === undefined) return undefined;
    const { serializer } = this.#reading;
    const { signed } = options;
    const seal = signed === undefined ? this.#reading.seal : new Seal(serializer, { signed });
    const output = seal.openResult(job.output, ({ queue, id }) => queue === this.#queue.name && id === this.id);
    return isEnvelope(output)
      ? ((await serializer.decode(output, { ...options, signed: false })) as Result)
      : undefined;
  }

  #find(): Promise<JobSnapshot | undefined> {
    return this.#engine.find(this.#queue, this.id);
  }
}

function failureOf(output: JsonValue | undefined): JobFailure {
  // pg-boss keeps its own reasons, as that a job has expired, in `value`.
  const reason = isJsonObject(output) && isJsonObject(output['value']) ? output['value'] : output;
  const isFailure = isJsonObject(reason) && typeof reason['message'] === 'string';
  return isFailure ? (reason as JobFailure) : { name: 'Error', message: 'it left no reason' };
}
