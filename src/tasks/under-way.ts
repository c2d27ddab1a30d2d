import type { Outcome, ReceivedJob } from './engine.ts';

/** The jobs under way in this process, and for how long their end is waited for. */
export class UnderWay {
  #jobs = 0;
  #giveUp = new AbortController();
  readonly #timers = new Set<NodeJS.Timeout>();

  /** Runs jobs; their signals are aborted too when nobody waits for them any longer. */
  async run(
    jobs: readonly ReceivedJob[],
    run: (jobs: readonly ReceivedJob[]) => Promise<readonly Outcome[]>,
  ): Promise<readonly Outcome[]> {
    const { signal } = this.#giveUp;
    this.#jobs += jobs.length;
    try {
      return await run(jobs.map((job) => ({ ...job, signal: AbortSignal.any([job.signal, signal]) })));
    } finally {
      this.#jobs -= jobs.length;
    }
  }

  giveUpAfter(ms: number): void {
    const giveUp = this.#giveUp;
    this.#timers.add(setTimeout(() => giveUp.abort(new Error(`The workers were stopped, and ${ms} ms are over.`)), ms));
  }

  /**
   * Waits until `stopping` has ended, or is given up. Resolves with how many jobs are left then; what becomes of
   * `stopping` afterwards is `late`'s to hear.
   */
  async end(stopping: Promise<void>, late: (error: unknown) => void): Promise<number> {
    const { signal } = this.#giveUp;
    const { promise: givenUp, resolve } = Promise.withResolvers<void>();
    const settle = (): void => resolve();
    signal.addEventListener('abort', settle, { once: true });
    try {
      await Promise.race([stopping, givenUp]);
      if (!signal.aborted) return 0;
      stopping.catch(late);
      return this.#jobs;
    } finally {
      signal.removeEventListener('abort', settle);
      for (const timer of this.#timers) clearTimeout(timer);
      this.#timers.clear();
      this.#giveUp = new AbortController();
    }
  }
}
