import type { EntityManager } from '@mikro-orm/core';
import { setTimeout as sleep } from 'node:timers/promises';
import { milliseconds } from '../check.ts';
import type { EntitySerializer } from '../entity-serializer.ts';
import { ByReferenceError } from '../errors.ts';
import type { DeserializeOptions } from '../options.ts';
import { transactionOf } from '../orm/transaction.ts';
import { isEnvelope } from '../wire/envelope.ts';
import { isJsonObject, type JsonValue } from '../wire/json.ts';
import type { Engine, JobFailure, JobSnapshot, JobState, QueueSettings } from './engine.ts';
import { Seal } from './seal.ts';

/** A job that failed for good; `failure` is what it left. */
export class JobFailedError extends Error {
  /** Always `JobFailedError`. */
  override readonly name = 'JobFailedError';
  /** What the job left: `{ name: 'TypeError', message: '…', stack: '…' }`. */
  readonly failure: JobFailure;

  /** Made by `result` and `wait`, of what the engine kept. */
  constructor(id: string, failure: JobFailure) {
    super(`Job ${id} failed: ${failure.message}`);
    this.failure = failure;
  }
}

/** How long to wait for the end of a job, and how its result is read. */
export interface WaitOptions extends DeserializeOptions {
  /**
   * Milliseconds until E_TIMEOUT.
   * @defaultValue 30,000
   */
  readonly timeoutMs?: number;
  /**
   * Ends the waiting with its reason.
   * @defaultValue none
   */
  readonly signal?: AbortSignal;
}

/** Milliseconds between two looks at a job that is waited for: at first, and at most. */
const [FIRST_LOOK_MS, LONGEST_LOOK_MS] = [20, 1_000];

const TAKEN_BACK: JobFailure = { name: 'Error', message: 'it was taken back' };

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
  /** Whose transaction the job is part of, or waits for. */
  #em: EntityManager | undefined;
  /** `held` until its transaction has committed. */
  #sending: 'held' | 'sent' | 'taken back' = 'sent';

  /** @internal */
  constructor(id: string, engine: Engine, queue: QueueSettings, reading: Reading) {
    this.id = id;
    this.#engine = engine;
    this.#queue = queue;
    this.#reading = reading;
  }

  /**
   * Where the job is; undefined for one that the engine does not know: rolled back, not committed yet, or long gone.
   */
  async state(): Promise<JobState | undefined> {
    return (await this.#find())?.state;
  }

  /** The attempt under way or the last one; 0 before the first. */
  async attempt(): Promise<number> {
    return (await this.#find())?.attempt ?? 0;
  }

  /**
   * What the handler returned, its entities as the current rows; undefined while there is nothing yet.
   * @throws JobFailedError for a job that failed for good, E_BAD_SIGNATURE for the result of another one where jobs are
   * signed, and as `decode`.
   */
  async result(options: DeserializeOptions = {}): Promise<Result | undefined> {
    return this.#resultOf(await this.#find(), options);
  }

  /**
   * Waits until the job has ended; then as `result`.
   * @throws E_TIMEOUT, what `enqueued` rejects with, the reason of `signal`, E_UNSUPPORTED inside the job's own open
   * transaction, which it would wait for, and E_INVALID_OPTION; then as `result`.
   */
  async wait({ timeoutMs = 30_000, signal, ...options }: WaitOptions = {}): Promise<Result | undefined> {
    const [expected, isValid] = milliseconds;
    if (!isValid(timeoutMs)) throw ByReferenceError.invalidOption('option timeoutMs', expected, timeoutMs);
    if (this.#openTransaction !== undefined) {
      const advice = 'wait once the transaction has committed: no worker has the job before';
      throw ByReferenceError.unsupported('Waiting for a job inside the transaction that it is part of', advice);
    }
    const end = performance.now() + timeoutMs;
    await this.enqueued;
    for (let look = FIRST_LOOK_MS; ; look = Math.min(2 * look, LONGEST_LOOK_MS)) {
      signal?.throwIfAborted();
      const job = await this.#find();
      if (job?.state === 'completed' || job?.state === 'failed') return this.#resultOf(job, options);
      if (this.#sending === 'taken back') throw new JobFailedError(this.id, TAKEN_BACK);
      const left = end - performance.now();
      if (left <= 0) throw ByReferenceError.timeout(this.id, job?.state ?? 'not known to its engine', timeoutMs);
      await sleep(Math.min(look, left), undefined, { signal }).catch(() => signal!.throwIfAborted());
    }
  }

  /**
   * Takes the job back, where it waits for its first attempt or the next; false where an attempt is under way, or it has
   * ended. Inside the transaction that it is part of that is undone when this rolls back. With `dedupe` it is the job of
   * all whose handle this is.
   */
  async cancel(): Promise<boolean> {
    if (this.#sending === 'held') this.#sending = 'taken back';
    if (this.#sending === 'taken back') return true;
    await this.enqueued.catch(() => undefined);
    const isTaken = await this.#engine.cancel(this.#queue, this.id, this.#openTransaction);
    if (isTaken) this.#sending = 'taken back';
    return isTaken;
  }

  /** @internal */
  inTransaction(em: EntityManager): void {
    this.#em = em;
  }

  /** @internal The job is enqueued after the commit, which settles `enqueued`. */
  waitsFor(enqueued: Promise<void>, em: EntityManager): void {
    this.#em = em;
    this.enqueued = enqueued;
    this.#sending = 'held';
  }

  /** @internal Its transaction has ended. False where it was taken back before. */
  begin(): boolean {
    if (this.#sending === 'taken back') return false;
    this.#sending = 'sent';
    return true;
  }

  get #openTransaction(): EntityManager | undefined {
    return this.#em !== undefined && transactionOf(this.#em) !== undefined ? this.#em : undefined;
  }

  async #resultOf(job: JobSnapshot | undefined, options: DeserializeOptions): Promise<Result | undefined> {
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
