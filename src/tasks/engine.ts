import type { EntityManager } from '@mikro-orm/core';
import type { EntitySerializer } from '../entity-serializer.ts';
import type { JsonObject, JsonValue } from '../wire/json.ts';

/** How a queue's jobs are retried and worked. */
export interface QueueSettings {
  /** The queue's name. */
  readonly name: string;
  /** How its jobs are tried again. */
  readonly retries: Retries;
  /** Jobs at once in this process. */
  readonly concurrency: number;
  /** Jobs that one call receives at most. */
  readonly batch: number;
}

/** How a failed job is tried again: `{ limit: 5, delayMs: 1_000, backoff: true }`. */
export interface Retries {
  /** Retries after the first attempt. */
  readonly limit: number;
  /** Milliseconds before the first retry; engines that count seconds round up. */
  readonly delayMs: number;
  /** Whether the delay doubles with each retry. */
  readonly backoff: boolean;
}

/** A job that is to be enqueued. */
export interface NewJob {
  /** A UUID. */
  readonly id: string;
  /** Its queue. */
  readonly queue: QueueSettings;
  /** What a worker is to receive: an envelope. */
  readonly data: JsonObject;
  /** Milliseconds until it may start; 0 for at once. */
  readonly delayMs: number;
  /** Larger goes first. */
  readonly priority: number;
  /** While a job of the same key waits, this one is dropped. */
  readonly dedupeKey: string | undefined;
}

/** A job as an engine hands it to `RunJobs`. */
export interface ReceivedJob {
  /** Its id, as `find` takes it. */
  readonly id: string;
  /** The name that it is stored under, of engines whose jobs have one beside their queue: that of the queue. */
  readonly name?: string;
  /** What it was enqueued with, as it is stored. */
  readonly data: unknown;
  /** 1 for the first attempt. Those that were postponed don't count, where the engine can tell. */
  readonly attempt: number;
  /** When it was enqueued. */
  readonly enqueuedAt: Date;
  /** Aborted when the job is no longer this worker's. */
  readonly signal: AbortSignal;
  /**
   * Completes the job in the transaction of `em`; throws where another worker has the job by now. Engines without jobs
   * in the application's database have none.
   */
  complete?(em: EntityManager, output: JsonObject | undefined): Promise<void>;
}

/**
 * What became of a received job: done, to be tried again (after `delayMs` instead of the queue's own delay, where the
 * engine can), to be tried again without that this attempt counts, or given up for good in the engine's own way.
 * `postpone` says that the database was away before the handler was called: the engine waits longer each time, within
 * bounds, and without end. One that can't give an attempt back retries. `error` is what is kept; `cause`, which was
 * thrown, is not.
 */
export type Outcome =
  | { readonly status: 'completed'; readonly output: JsonObject | undefined }
  | { readonly status: 'retry'; readonly error: JobFailure; readonly cause: unknown; readonly delayMs?: number }
  | { readonly status: 'postpone' | 'discard'; readonly error: JobFailure; readonly cause: unknown };

/**
 * An error as it is kept with a job: tokens of rows, never their data.
 * `{ name: 'TypeError', message: '…', stack: '…' }`; of a `ByReferenceError` with `code`, `retryable`, `path` and
 * `tokens` in the place of the stack; of a job that could not be read, so that no handler was called, with `unread: true`;
 * of one that has not come to its queue at all with `undelivered: true` beside it.
 */
export interface JobFailure extends JsonObject {
  /** The error's name: `TypeError`. */
  readonly name: string;
  /** The error's message. */
  readonly message: string;
}

/** Runs received jobs; one outcome for each, in their order. Never rejects. */
export type RunJobs = (jobs: readonly ReceivedJob[]) => Promise<readonly Outcome[]>;

/** Where a job is: not begun or to be tried again, under way, done, or failed for good. */
export type JobState = 'waiting' | 'active' | 'completed' | 'failed';

/** A job as its engine has it now. */
export interface JobSnapshot {
  /** Where it is. */
  readonly state: JobState;
  /** The attempt under way or the last one; 0 before the first. */
  readonly attempt: number;
  /** What the job left: its result, or a JobFailure. */
  readonly output: JsonValue | undefined;
}

/** A job that is stored and not done. */
export interface StoredJob {
  /** Its id. */
  readonly id: string;
  /** The queue that it is in. */
  readonly queue: string;
  /** The name that it is stored under, of engines whose jobs have one beside their queue. */
  readonly name?: string;
  /** `scheduled` are the data that a schedule makes jobs of. */
  readonly state: 'waiting' | 'delayed' | 'active' | 'failed' | 'scheduled';
  /** What is stored. */
  readonly data: unknown;
  /** What a failed one has left; undefined where that was not kept. */
  readonly failure?: JobFailure | undefined;
  /** What it is stored in, the same whichever engine finds it there; undefined where no other engine does. */
  readonly store?: string;
}

/** Whether tasks of an engine can be `transactional`. */
export const completesInTransaction = ({ isTransactional, completesInTransaction: own }: Engine): boolean =>
  own ?? isTransactional;

/** What Tasks asks of a job engine. Each engine of this library passes `engineContract` of `mikro-orm-byref/testing`. */
export interface Engine {
  /** Whether `enqueue` can put jobs into the transaction of an EntityManager. */
  readonly isTransactional: boolean;
  /**
   * Whether its workers can complete a job in the transaction that its handler writes in.
   * @defaultValue as `isTransactional`
   */
  readonly completesInTransaction?: boolean;
  /** Told of the serializer that its jobs are written with, before there are any. */
  attach?(serializer: EntitySerializer): void;
  /**
   * Refuses an EntityManager whose transactions it can't put jobs into, before there are any.
   * @throws E_UNSUPPORTED.
   */
  checkDatabase?(em: EntityManager): void;
  /**
   * Refuses a job that `enqueue` would refuse, before a transaction commits that it waits for.
   * @throws E_INVALID_OPTION.
   */
  check?(job: NewJob): void;
  /**
   * Stores jobs, in the transaction of `em` where there is one. Resolves with an id for each: its own, or that of the
   * waiting job with the same dedupe key, which then does not start before that transaction has ended.
   */
  enqueue(jobs: readonly NewJob[], em: EntityManager | undefined): Promise<readonly string[]>;
  /** Enqueues `data` whenever the cron expression says so, until another one of that key replaces it. */
  schedule(queue: QueueSettings, key: string, cron: string, data: JsonObject, timeZone: string): Promise<void>;
  /** Ends the schedule of a key, where there is one. */
  unschedule(queue: QueueSettings, key: string): Promise<void>;
  /** A job by its id; undefined where there is none. */
  find(queue: QueueSettings, id: string): Promise<JobSnapshot | undefined>;
  /** Takes a waiting job back, in the transaction of `em` where there is one: it is gone. False where there is none. */
  cancel(queue: QueueSettings, id: string, em: EntityManager | undefined): Promise<boolean>;
  /** Starts to work a queue. `onError` is for what goes wrong with no job at hand, as a connection that is lost. */
  work(queue: QueueSettings, run: RunJobs, onError: (error: unknown) => void): Promise<void>;
  /** Takes no further jobs and waits for those under way. */
  stop(): Promise<void>;
  /**
   * All jobs that are not done, of queues that nobody works too, some at a time, without writing anything. Jobs that
   * are in the database of the entities are read in the transaction of `em`. An engine whose jobs do not outlive the
   * process has none.
   */
  stored?(em: EntityManager): AsyncIterable<readonly StoredJob[]>;
  /**
   * Puts failed jobs of a queue back into it, to be begun at once, with an attempt before them at least. Resolves with
   * how many those are: what is not failed, or is put back by another call meanwhile, is left alone.
   */
  requeue?(queue: string, ids: readonly string[]): Promise<number>;
}
