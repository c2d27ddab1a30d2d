import type { EntityManager } from '@mikro-orm/core';
import { executeInTransaction } from '../orm/transaction.ts';

/** What pg-boss runs its statements on. */
export interface BossDatabase {
  /** Runs one statement. */
  executeSql(text: string, values?: unknown[]): Promise<{ rows: object[] }>;
}

/** A job as a worker of pg-boss receives it. */
export interface BossJob {
  /** Its id, a UUID. */
  readonly id: string;
  /** What it was sent with, as it is stored. */
  readonly data: unknown;
  /** How often it was retried: 0 at the first attempt. */
  readonly retryCount: number;
  /** Aborted when the job is no longer this worker's. */
  readonly signal: AbortSignal;
  /** When it was sent. */
  readonly createdOn?: Date;
  /** When it is due; a retry moves it. */
  readonly startAfter?: Date;
  /** When its attempt began. */
  readonly startedOn?: Date;
}

/** A job as pg-boss finds it. */
export interface FoundBossJob extends BossJob {
  /** Its state by pg-boss's own name: `created`, `retry`, `active`, `completed`, `cancelled`, `failed`. */
  readonly state: string;
  /** What it left: its result, or its failure. */
  readonly output: unknown;
  /** When it was sent. */
  readonly createdOn: Date;
}

/** What becomes of one job of a batch. */
export interface BossResult {
  /** The job's id. */
  readonly id: string;
  /** Done, to be retried while it has retries left, or failed for good. */
  readonly status: 'completed' | 'failed' | 'deadletter';
  /** What it leaves. */
  readonly output?: object;
}

/** The part of pg-boss 12 that the engine uses; a type test proves that the real one fits. */
export interface PgBossLike {
  /** Starts it, unless it is. */
  start(): Promise<unknown>;
  /** What its own statements run on. */
  getDb(): BossDatabase;
  /** Makes a queue. */
  createQueue(name: string, options?: { policy?: string }): Promise<void>;
  /** The settings of a queue; null where there is none. */
  getQueue(name: string): Promise<{ policy?: string } | null>;
  /** Stores jobs, in the transaction of `db` where it is given; resolves with the ids of those that are new. */
  insert(name: string, jobs: object[], options?: { db?: BossDatabase; returnId?: boolean }): Promise<string[] | null>;
  /** The jobs of a queue with an id or a key. */
  findJobs(
    name: string,
    options?: { id?: string; key?: string; queued?: boolean; db?: BossDatabase },
  ): Promise<FoundBossJob[]>;
  /** Changes a job that waits; resolves with the ids of those that did. */
  update(
    name: string,
    data: undefined,
    options: { id?: string; singletonKey?: string; priority?: number; startAfter?: number; db?: BossDatabase },
  ): Promise<{ jobs: string[] }>;
  /** Completes a job, in the transaction of `db` where it is given. */
  complete(
    name: string,
    job: { id: string; retryCount: number },
    output: object | null,
    options: { db?: BossDatabase },
  ): Promise<object>;
  /** Deletes a job. */
  deleteJob(name: string, id: string, options: { db?: BossDatabase }): Promise<object>;
  /** Has failed jobs run again; resolves with how many those are, `affected`. */
  retry(name: string, ids: string[]): Promise<object>;
  /** Ends the schedule of a key. */
  unschedule(name: string, key: string): Promise<void>;
  /** Sends a job whenever the cron expression says so. */
  schedule(name: string, cron: string, data: object | null, options: object): Promise<void>;
  /** Starts a worker; resolves with its id. */
  work(
    name: string,
    options: { includeMetadata: true; perJobResults: true; batchSize: number },
    handler: (jobs: BossJob[]) => Promise<BossResult[]>,
  ): Promise<string>;
  /** Stops a worker, once its jobs have ended. */
  offWork(name: string, options: { id: string; wait: boolean }): Promise<void>;
  /** Has a worker look for jobs at once. */
  notifyWorker(workerId: string): void;
  /** Tells of what goes wrong with no job at hand. */
  on(event: 'error', listener: (error: Error) => void): unknown;
  /** Ends that. */
  off(event: 'error', listener: (error: Error) => void): unknown;
}

/** Runs pg-boss's statements in the transaction of an EntityManager. */
export function databaseOf(em: EntityManager): BossDatabase {
  return { executeSql: async (sql, parameters) => ({ rows: await executeInTransaction(em, sql, parameters) }) };
}
