import type { EntityManager } from '@mikro-orm/core';
import { setTimeout as sleep } from 'node:timers/promises';
import { ByReferenceError } from '../errors.ts';
import type { Carrier } from '../outbox/carriers.ts';
import { ENGINE_TOPICS, LONGEST_TOPIC, type PublishedMessage } from '../outbox/options.ts';
import type { OutboxMessage } from '../outbox/message.ts';
import type { Outbox } from '../outbox/outbox.ts';
import { transactionOf } from '../orm/transaction.ts';
import type {
  Engine,
  JobFailure,
  JobSnapshot,
  NewJob,
  QueueSettings,
  Retries,
  RunJobs,
  StoredJob,
} from '../tasks/engine.ts';
import type { JsonObject } from '../wire/json.ts';
import type { BullMqEngine, QueuedJob } from './bullmq-engine.ts';

const TOPICS = `${ENGINE_TOPICS}bullmq:`;

/** Milliseconds between two looks at a job that a relay has in its hands. */
const LOOK_EVERY_MS = 20;

/** What a message holds of a job. */
interface RowOfJob extends JsonObject {
  readonly queue: { readonly name: string; readonly retries: Retries & JsonObject };
  readonly data: JsonObject;
  readonly delayMs: number;
  readonly priority: number;
  readonly dedupeKey: string | null;
}

/**
 * Jobs of BullMQ on Redis that are rows of the transaction they are enqueued in, until a relay has brought them there.
 * The job's id is that of the row: BullMQ takes no second one while it knows the first.
 */
export class OutboxEngine implements Engine {
  readonly isTransactional = true;
  readonly completesInTransaction = false;
  readonly #outbox: Outbox;
  readonly #redis: BullMqEngine;

  /** `open` makes engines without an outbox: one for workers and handles, and one for each relay. */
  constructor(outbox: Outbox, open: () => BullMqEngine) {
    this.#outbox = outbox;
    this.#redis = open();
    outbox.carry(TOPICS, (onError) => carrierOf(open(), onError));
  }

  checkDatabase(em: EntityManager): void {
    if (this.#outbox.isOf(em)) return;
    throw ByReferenceError.invalidOption('option outbox', 'one of the (first) ORM that the tasks serve', undefined);
  }

  check(job: NewJob): void {
    this.#redis.check(job);
    const { name } = job.queue;
    const longest = LONGEST_TOPIC - TOPICS.length;
    if (name.length > longest)
      throw ByReferenceError.invalidOption('option queue', `at most ${longest} characters`, name);
  }

  /** Where there is no transaction there is nothing that a job could commit with: it goes to Redis at once. */
  async enqueue(jobs: readonly NewJob[], em: EntityManager | undefined): Promise<readonly string[]> {
    if (em === undefined || transactionOf(em) === undefined) return this.#redis.enqueue(jobs, undefined);
    await this.#outbox.insert(
      jobs.map((job) => ({ id: job.id, topic: `${TOPICS}${job.queue.name}`, payload: rowOf(job) })),
      em,
    );
    return jobs.map(({ id }) => id);
  }

  schedule(queue: QueueSettings, key: string, cron: string, data: JsonObject, timeZone: string): Promise<void> {
    return this.#redis.schedule(queue, key, cron, data, timeZone);
  }

  unschedule(queue: QueueSettings, key: string): Promise<void> {
    return this.#redis.unschedule(queue, key);
  }

  async find(queue: QueueSettings, id: string): Promise<JobSnapshot | undefined> {
    const find = async (): Promise<JobSnapshot | undefined> => {
      const own = await this.#redis.find(queue, id);
      if (own !== undefined) return own;
      const first = await this.#redis.idOf(queue, id);
      return first === id ? undefined : this.#redis.find(queue, first);
    };
    // Once more, as a relay may have moved it between the two looks.
    return (await find()) ?? (await this.#findRow(id)) ?? find();
  }

  /** A row that waits is taken out of the outbox; one that a relay has in its hands is taken back where it goes. */
  async cancel(queue: QueueSettings, id: string, em: EntityManager | undefined): Promise<boolean> {
    for (;;) {
      if (await this.#outbox.table.withdraw(id, em)) return true;
      if ((await this.#findRow(id))?.state !== 'waiting') break;
      await sleep(LOOK_EVERY_MS);
    }
    return this.#redis.cancel(queue, await this.#redis.idOf(queue, id), undefined);
  }

  work(queue: QueueSettings, run: RunJobs, onError: (error: unknown) => void): Promise<void> {
    return this.#redis.work(queue, run, onError);
  }

  stop(): Promise<void> {
    return this.#redis.stop();
  }

  /** The rows first: a job that is moved meanwhile is seen here or there. */
  async *stored(em: EntityManager): AsyncGenerator<readonly StoredJob[]> {
    for await (const rows of this.#outbox.table.stored(em)) {
      const own = rows.filter(({ topic }) => topic.startsWith(TOPICS));
      if (own.length > 0) yield own.map(storedJob);
    }
    yield* this.#redis.stored();
  }

  /** A dead letter is brought to Redis first. */
  async requeue(queue: string, ids: readonly string[]): Promise<number> {
    const { table } = this.#outbox;
    const dead = new Set(await table.deadAmong(ids));
    const others = ids.filter((id) => !dead.has(id));
    return (await table.putBack([...dead])) + (await this.#redis.requeue(queue, others));
  }

  async #findRow(id: string): Promise<JobSnapshot | undefined> {
    const row = await this.#outbox.table.find(id);
    if (row === undefined) return undefined;
    if (row.availableAt !== null) return { state: 'waiting', attempt: 0, output: undefined };
    return { state: 'failed', attempt: 0, output: failureOf(row) };
  }
}

function carrierOf(redis: BullMqEngine, onError: (error: unknown) => void): Carrier {
  redis.onError(onError);
  return {
    async publish(messages) {
      const jobs = messages.map(jobOf);
      const ids = await redis.enqueue(jobs, undefined);
      for (const [index, id] of ids.entries()) {
        const { queue, id: own } = jobs[index]!;
        // Dropped for one that waits: whoever has the handle asks for that.
        if (id !== own) await redis.merge(queue, own, id);
      }
    },
    close: () => redis.stop(),
  };
}

const rowOf = ({ queue, data, delayMs, priority, dedupeKey }: NewJob): RowOfJob => ({
  queue: { name: queue.name, retries: { ...queue.retries } },
  data,
  delayMs,
  priority,
  dedupeKey: dedupeKey ?? null,
});

function jobOf({ id, payload, createdAt }: PublishedMessage): QueuedJob {
  const { queue, data, delayMs, priority, dedupeKey } = payload as RowOfJob;
  return {
    id,
    queue: { ...queue, concurrency: 1, batch: 1 },
    data,
    delayMs,
    priority,
    dedupeKey: dedupeKey ?? undefined,
    enqueuedAt: createdAt.getTime(),
  };
}

function storedJob(row: OutboxMessage): StoredJob {
  const queue = row.topic.slice(TOPICS.length);
  const own = { id: row.id, queue, name: queue, data: row.payload['data'], store: 'outbox' };
  if (row.availableAt !== null) return { ...own, state: 'waiting' };
  return { ...own, state: 'failed', failure: failureOf(row) };
}

const failureOf = ({ error }: OutboxMessage): JobFailure => ({
  name: 'Error',
  message: `it stayed in the outbox: ${error}`,
  unread: true,
  undelivered: true,
});
