import type { Runner, WorkerEvents } from 'graphile-worker';
import { setTimeout as sleep } from 'node:timers/promises';
import type { QueueWorker } from './queue-worker.ts';

/** Milliseconds until a runner that has ended by itself is started again: at first, and at most. */
const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [500, 30_000];

/** For how long the end of a pool, and of the jobs in it, is waited for: an answer that was cut off may never come. */
const PATIENCE_MS = 10_000;

/** What a runner is made of. */
export interface RunnerParts {
  readonly worker: QueueWorker;
  readonly events: WorkerEvents;
  start(): Promise<Runner>;
  onError(error: unknown): void;
}

/**
 * A runner that lasts until it is stopped. graphile-worker ends a runner where the failure of a job can't be written, as
 * while the database is away, and leaves its jobs locked for four hours.
 */
export class LastingRunner {
  readonly #parts: RunnerParts;
  readonly #stopping = new AbortController();
  #runner: Runner | undefined;
  #poolId: string | undefined;
  #restarting: Promise<void> | undefined;
  /** The pools that have ended by themselves. */
  readonly #ended = new Set<string>();
  /** What fetching jobs has failed with. */
  readonly #fetchErrors = new WeakSet<object>();

  private constructor(parts: RunnerParts) {
    this.#parts = parts;
    // A signal that graphile-worker hears stops it for good.
    parts.events.once('gracefulShutdown', () => this.#stopping.abort());
    parts.events.on('worker:getJob:error', ({ worker, error }) => {
      if (worker.workerPool.id !== this.#poolId) return;
      const failure = Object(error) as object;
      // The very same error again: graphile-worker has remembered a lookup of its tasks that failed, and asks no more.
      if (this.#fetchErrors.has(failure)) return this.#stopRunner();
      this.#fetchErrors.add(failure);
      parts.onError(error);
      parts.worker.reclaim(worker.workerPool.id);
    });
    parts.events.on('pool:gracefulShutdown', ({ workerPool, message }) => {
      if (workerPool.id === this.#poolId) void this.#endSoon(workerPool.id, message);
    });
    parts.events.on('pool:listen:error', ({ workerPool, error }) => {
      if (workerPool.id === this.#poolId) parts.onError(error);
    });
  }

  /** Throws what `start` throws the first time. */
  static async start(parts: RunnerParts): Promise<LastingRunner> {
    const runner = new LastingRunner(parts);
    await runner.#start();
    return runner;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#restarting;
    // A signal may have stopped it before.
    await this.#runner?.stop().catch(() => this.#runner?.promise.catch(() => undefined));
    await this.#parts.worker.settled();
  }

  async #start(): Promise<void> {
    const { events, start } = this.#parts;
    const remember: Parameters<typeof events.on<'pool:create'>>[1] = ({ workerPool }) => {
      this.#poolId = workerPool.id;
    };
    events.on('pool:create', remember);
    try {
      this.#runner = await start();
    } finally {
      events.off('pool:create', remember);
    }
    const poolId = this.#poolId!;
    this.#runner.promise.then(
      () => this.#end(poolId, new Error('graphile-worker has ended its pool.')),
      (error: unknown) => this.#end(poolId, error),
    );
  }

  /** Another takes its place. */
  #stopRunner(): void {
    // It may be on its way to its end already.
    this.#runner?.stop().catch(() => undefined);
  }

  /** It may hang while it shuts down. */
  async #endSoon(poolId: string, message: string): Promise<void> {
    await sleep(PATIENCE_MS, undefined, { ref: false });
    this.#end(poolId, new Error(`graphile-worker ends its pool: ${message}`));
  }

  #end(poolId: string, error: unknown): void {
    if (this.#stopping.signal.aborted || this.#ended.has(poolId)) return;
    this.#ended.add(poolId);
    this.#parts.onError(error);
    this.#restarting = this.#restart(poolId);
  }

  async #restart(poolId: string): Promise<void> {
    const { worker, onError } = this.#parts;
    const { signal } = this.#stopping;
    await Promise.race([worker.idle(), sleep(PATIENCE_MS, undefined, { signal }).catch(() => undefined)]);
    for (let pause = FIRST_PAUSE_MS; !signal.aborted; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      await sleep(pause, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await worker.free(poolId);
        return await this.#start();
      } catch (error) {
        onError(error);
      }
    }
  }
}
