import type { EntityManager } from '@mikro-orm/core';
import type { EntitySerializer } from '../entity-serializer.ts';
import type { JsonObject, JsonValue } from '../wire/json.ts';

/** How a queue's jobs are retried and worked. */
export interface QueueSettings {
  readonly name: string;
  readonly retries: Retries;
  /** Jobs at once in this process. */
  readonly concurrency: number;
  /** Jobs that one call receives at most. */
  readonly batch: number;
}

export interface Retries {
  /** Retries after the first attempt. */
  readonly limit: number;
  /** Milliseconds before the first retry; engines that count seconds round up. */
  readonly delayMs: number;
  /** Whether the delay doubles with each retry. */
  readonly backoff: boolean;
}

export interface NewJob {
  /** A UUID. */
  readonly id: string;
  readonly queue: QueueSettings;
  readonly data: JsonObject;
  readonly delayMs: number;
  /** Larger goes first. */
  readonly priority: number;
  /** While a job of the same key waits, this one is dropped. */
  readonly dedupeKey: string | undefined;
}

export interface ReceivedJob {
  readonly id: string;
  /** The name that it is stored under, of engines whose jobs have one beside their queue: that of the queue. */
  readonly name?: string;
  readonly data: unknown;
  /** 1 for the first attempt. Those that were postponed don't count, where the engine can tell. */
  readonly attempt: number;
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

/** An error as it is kept with a job: tokens of rows, never their data. */
export interface JobFailure extends JsonObject {
  readonly name: string;
  readonly message: string;
}

/** Runs received jobs; one outcome for each, in their order. Never rejects. */
export type RunJobs = (jobs: readonly ReceivedJob[]) => Promise<readonly Outcome[]>;

export type JobState = 'waiting' | 'active' | 'completed' | 'failed';

export interface JobSnapshot {
  readonly state: JobState;
  readonly attempt: number;
  /** What the job left: its result, or a JobFailure. */
  readonly output: JsonValue | undefined;
}

/** What Tasks asks of a job engine. Each engine of this library passes `engineContract` of `mikro-orm-byref/testing`. */
export interface Engine {
  /** Whether `enqueue` can put jobs into the transaction of an EntityManager. */
  readonly isTransactional: boolean;
  /** Told of the serializer that its jobs are written with, before there are any. */
  attach?(serializer: EntitySerializer): void;
  /** Throws E_UNSUPPORTED for an EntityManager whose transactions it can't put jobs into, before there are any. */
  checkDatabase?(em: EntityManager): void;
  /** Throws E_INVALID_OPTION for a job that `enqueue` would refuse, before a transaction commits that it waits for. */
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
  find(queue: QueueSettings, id: string): Promise<JobSnapshot | undefined>;
  /** Takes a waiting job back, in the transaction of `em` where there is one: it is gone. False where there is none. */
  cancel(queue: QueueSettings, id: string, em: EntityManager | undefined): Promise<boolean>;
  /** Starts to work a queue. `onError` is for what goes wrong with no job at hand, as a connection that is lost. */
  work(queue: QueueSettings, run: RunJobs, onError: (error: unknown) => void): Promise<void>;
  /** Takes no further jobs and waits for those under way. */
  stop(): Promise<void>;
}
