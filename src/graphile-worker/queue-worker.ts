import { setTimeout as sleep } from 'node:timers/promises';
import { Batches } from '../tasks/batches.ts';
import type { JobFailure, Outcome, QueueSettings, ReceivedJob, RunJobs } from '../tasks/engine.ts';
import { onceWritten } from '../tasks/once-written.ts';
import { takenOver } from '../tasks/outcome.ts';
import { withoutCron } from './cron.ts';
import { type Execute, inTransactionOf } from './database.ts';
import { type Finishing, idOf } from './finishing.ts';
import type { GraphileHelpers, GraphileJob } from './worker-like.ts';

const SWEEP_EVERY_MS = 60_000;
/** No retry waits longer, however often its delay has doubled. */
const LONGEST_DELAY_MS = 365 * 86_400_000;

/** For how long a locked job may be on its way here: with graphile-worker's local queue, which batches have, five minutes. */
const [FETCH_MS, LOCAL_QUEUE_MS] = [5_000, 330_000];

/** Works the jobs of one queue: what graphile-worker runs as its task. */
export class QueueWorker {
  readonly #queue: QueueSettings;
  readonly #batches: Batches<ReceivedJob, Outcome>;
  readonly #execute: Execute;
  readonly #finishing: Finishing;
  readonly #onError: (error: unknown) => void;
  readonly #background = new Set<Promise<void>>();
  /** Jobs by graphile-worker's own id. */
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #reclaimAfterMs: number;
  #isReclaiming = false;
  #sweptAt = 0;

  constructor(
    queue: QueueSettings,
    run: RunJobs,
    execute: Execute,
    finishing: Finishing,
    onError: (error: unknown) => void,
  ) {
    this.#queue = queue;
    this.#execute = execute;
    this.#finishing = finishing;
    this.#onError = onError;
    this.#reclaimAfterMs = queue.batch > 1 ? LOCAL_QUEUE_MS : FETCH_MS;
    // A fetch of graphile-worker's local queue hands out its jobs in one turn of the event loop.
    this.#batches = new Batches({ size: queue.batch, concurrency: queue.concurrency, idleMs: 0 }, run);
  }

  /** Resolves for a job that is completed, rejects for one that has failed. */
  async work(helpers: GraphileHelpers): Promise<void> {
    const { id } = helpers.job;
    const working = this.#work(helpers);
    this.#underWay.set(id, working);
    try {
      await working;
    } finally {
      this.#underWay.delete(id);
    }
  }

  /** Resolves when no job is under way. */
  async idle(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay.values());
  }

  /** Unlocks what a pool that has ended has left locked. */
  async free(poolId: string): Promise<void> {
    await this.#finishing.unlock(this.#execute, poolId, [], 0);
  }

  /** An answer with jobs may have been lost on its way: they are locked for nobody. Looks for them once they would be here. */
  reclaim(poolId: string): void {
    if (this.#isReclaiming) return;
    this.#isReclaiming = true;
    const reclaim = async (): Promise<void> => {
      await sleep(this.#reclaimAfterMs, undefined, { ref: false });
      this.#isReclaiming = false;
      await this.#finishing.unlock(this.#execute, poolId, [...this.#underWay.keys()], this.#reclaimAfterMs);
    };
    void reclaim().catch((error: unknown) => {
      this.#onError(error);
      this.reclaim(poolId);
    });
  }

  async #work({ job, abortSignal }: GraphileHelpers): Promise<void> {
    let isCompleted = false;
    const outcome = await this.#batches.add({
      id: idOf(job),
      data: withoutCron(job.payload),
      attempt: job.attempts,
      enqueuedAt: new Date(job.created_at),
      signal: abortSignal,
      complete: async (em, output) => {
        // Another worker's by now: this transaction must not commit.
        if (!(await this.#finishing.complete(inTransactionOf(em), job, output))) throw takenOver(idOf(job));
        isCompleted = true;
      },
    });
    this.#sweep();
    if (outcome.status !== 'completed') return this.#fail(job, outcome);
    if (!isCompleted && !(await this.#finishing.complete(this.#execute, job, outcome.output)))
      throw takenOver(idOf(job));
  }

  /** Resolves when nothing is left to be done for jobs that have been worked. */
  async settled(): Promise<void> {
    await Promise.all(this.#background);
  }

  async #fail(job: GraphileJob, outcome: Exclude<Outcome, { status: 'completed' }>): Promise<never> {
    const { error } = outcome;
    const isLast = outcome.status === 'discard' || job.attempts >= job.max_attempts;
    // Where the database is away for this as well, the attempt counts; graphile-worker's own delay applies in any case.
    if (outcome.status === 'postpone') await this.#finishing.giveBack(this.#execute, job).catch(this.#onError);
    else if (isLast) await this.#finishing.fail(this.#execute, job, error);
    else this.#inBackground(this.#postpone(job, outcome.status === 'retry' ? outcome.delayMs : undefined));
    throw errorOf(error);
  }

  /**
   * graphile-worker's own delay is e to the power of attempts, in seconds, and its functions leave a locked job alone:
   * the queue's delay is set once it is unlocked, which happens after this attempt's task has ended.
   */
  async #postpone(job: GraphileJob, given: number | undefined): Promise<void> {
    const { delayMs, backoff } = this.#queue.retries;
    const delay = Math.min(given ?? delayMs * (backoff ? 2 ** (job.attempts - 1) : 1), LONGEST_DELAY_MS);
    await onceWritten(() => this.#finishing.postpone(this.#execute, job, delay));
  }

  #sweep(): void {
    if (Date.now() - this.#sweptAt < SWEEP_EVERY_MS) return;
    this.#sweptAt = Date.now();
    this.#inBackground(this.#finishing.sweep(this.#execute));
  }

  /** What fails here is made up for by graphile-worker's delay, or by the next sweep. */
  #inBackground(work: Promise<void>): void {
    const done = work.catch(this.#onError).finally(() => this.#background.delete(done));
    this.#background.add(done);
  }
}

/** What graphile-worker logs, and keeps the message of. */
function errorOf({ name, message, stack }: JobFailure): Error {
  return Object.assign(new Error(message), { name, ...(typeof stack === 'string' && { stack }) });
}
