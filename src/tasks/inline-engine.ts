import type { EntityManager } from '@mikro-orm/core';
import { ByReferenceError } from '../errors.ts';
import type { JsonObject, JsonValue } from '../wire/json.ts';
import type { Engine, JobSnapshot, JobState, NewJob, QueueSettings, Retries, RunJobs } from './engine.ts';
import { postponedMs } from './outcome.ts';

interface InlineJob {
  readonly id: string;
  /** As an engine stores it: what the handler does to its arguments can't reach a retry. */
  readonly text: string;
  readonly enqueuedAt: Date;
  readonly retries: Retries;
  readonly priority: number;
  readonly delayMs: number;
  readonly dedupeKey: string | undefined;
  state: JobState;
  attempt: number;
  /** How often it was postponed. */
  looks: number;
  output: JsonValue | undefined;
}

/**
 * Runs jobs in this process, for development and tests: through the same encoding, JSON text and decoding as a real
 * engine. A job runs before `delay()` resolves, or after the commit it waits for; before `work()` it waits. `delayMs` is
 * not waited for, and goes before priorities; the delays of retries are, and nothing survives the process.
 */
export function inlineEngine(): Engine {
  return new InlineEngine();
}

class InlineEngine implements Engine {
  readonly isTransactional = false;
  readonly #jobs = new Map<string, InlineJob[]>();
  readonly #workers = new Map<string, { readonly batch: number; readonly run: RunJobs }>();
  readonly #running = new Set<Promise<void>>();
  /** Of the jobs that wait for a retry. */
  readonly #timers = new Map<InlineJob, NodeJS.Timeout>();

  async enqueue(jobs: readonly NewJob[], _em: EntityManager | undefined): Promise<readonly string[]> {
    const queues = new Set<string>();
    const ids = jobs.map((job) => {
      queues.add(job.queue.name);
      return this.#add(job);
    });
    for (const queue of queues) await this.#drain(queue);
    return ids;
  }

  async schedule(_queue: QueueSettings, _key: string, cron: string): Promise<void> {
    throw ByReferenceError.unsupported(`The schedule "${cron}"`, 'the inline engine has no clock; take a real engine');
  }

  async unschedule(): Promise<void> {
    // There is none.
  }

  async find({ name }: QueueSettings, id: string): Promise<JobSnapshot | undefined> {
    return this.#jobs.get(name)?.find((job) => job.id === id);
  }

  async cancel({ name }: QueueSettings, id: string): Promise<boolean> {
    const jobs = this.#jobs.get(name) ?? [];
    const at = jobs.findIndex((job) => job.id === id && (job.state === 'waiting' || this.#timers.has(job)));
    if (at === -1) return false;
    const [job] = jobs.splice(at, 1);
    clearTimeout(this.#timers.get(job!));
    return this.#timers.delete(job!) || true;
  }

  async work({ name, batch }: QueueSettings, run: RunJobs): Promise<void> {
    this.#workers.set(name, { batch, run });
    await this.#drain(name);
  }

  async stop(): Promise<void> {
    this.#workers.clear();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await Promise.all(this.#running);
  }

  #add({ id, queue, data, delayMs, priority, dedupeKey }: NewJob): string {
    const jobs = this.#jobs.get(queue.name) ?? [];
    this.#jobs.set(queue.name, jobs);
    const waiting = jobs.find((job) => job.state === 'waiting' && job.dedupeKey === dedupeKey);
    if (dedupeKey !== undefined && waiting !== undefined) return waiting.id;
    const text = JSON.stringify(data);
    const { retries } = queue;
    jobs.push({
      id,
      text,
      retries,
      priority,
      delayMs,
      dedupeKey,
      enqueuedAt: new Date(),
      state: 'waiting',
      attempt: 0,
      looks: 0,
      output: undefined,
    });
    return id;
  }

  async #drain(queue: string): Promise<void> {
    for (;;) {
      const worker = this.#workers.get(queue);
      const waiting = this.#jobs.get(queue)?.filter(({ state }) => state === 'waiting') ?? [];
      if (worker === undefined || waiting.length === 0) return;
      const jobs = waiting.toSorted((a, b) => a.delayMs - b.delayMs || b.priority - a.priority);
      const run = this.#run(queue, jobs.slice(0, worker.batch), worker.run);
      this.#running.add(run);
      await run;
      this.#running.delete(run);
    }
  }

  async #run(queue: string, jobs: readonly InlineJob[], run: RunJobs): Promise<void> {
    for (const job of jobs) Object.assign(job, { state: 'active', attempt: job.attempt + 1 });
    const outcomes = await run(
      jobs.map(({ id, text, attempt, enqueuedAt }) => ({
        id,
        data: JSON.parse(text) as JsonObject,
        attempt,
        enqueuedAt,
        signal: new AbortController().signal,
      })),
    );
    for (const [index, job] of jobs.entries()) {
      const outcome = outcomes[index]!;
      if (outcome.status === 'completed') Object.assign(job, { state: 'completed', output: outcome.output });
      else if (outcome.status === 'postpone') this.#postpone(queue, job);
      else if (outcome.status === 'retry' && job.attempt <= job.retries.limit) this.#retry(queue, job, outcome.delayMs);
      else Object.assign(job, { state: 'failed', output: outcome.error });
    }
  }

  #retry(queue: string, job: InlineJob, given: number | undefined): void {
    const { delayMs, backoff } = job.retries;
    this.#later(queue, job, given ?? delayMs * (backoff ? 2 ** (job.attempt - 1) : 1));
  }

  #postpone(queue: string, job: InlineJob): void {
    job.attempt--;
    this.#later(queue, job, postponedMs(++job.looks));
  }

  /** Active until its delay is over, so that nothing else takes it up. */
  #later(queue: string, job: InlineJob, delayMs: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(job);
      job.state = 'waiting';
      void this.#drain(queue);
    }, delayMs);
    this.#timers.set(job, timer);
  }
}
