import type { QueueOptions, WorkerOptions } from 'bullmq';
import type { Outbox } from '../outbox/outbox.ts';
import type { BullMqOptions } from './options.ts';

/** Where BullMQ keeps its jobs, and its own options. */
export interface BullMqEngineOptions {
  /** As BullMQ takes it: options or a client of Redis, or a `pg.Pool` for its PostgreSQL backend. */
  readonly connection: NonNullable<BullMqOptions<QueueOptions>['connection']>;
  /**
   * BullMQ's `createPostgresBackend`, for its PostgreSQL backend.
   * @defaultValue none: jobs are in Redis
   */
  readonly backend?: (...args: never[]) => unknown;
  /**
   * Further options of BullMQ's Queue, `defaultJobOptions` among them. The workers have those that are theirs as well.
   * @defaultValue BullMQ's own, and finished jobs are kept for seven days
   */
  readonly queue?: Omit<QueueOptions, 'connection'>;
  /**
   * Further options of BullMQ's Worker, `lockDuration` among them.
   * @defaultValue BullMQ's own
   */
  readonly worker?: Omit<WorkerOptions, 'connection' | 'concurrency'>;
  /**
   * Has jobs be rows of the transaction that they are enqueued in, until `outbox.relay()` has brought them to Redis.
   * @defaultValue none: on Redis they are enqueued after the commit
   */
  readonly outbox?: Outbox | undefined;
}
