import type { EntityManager } from '@mikro-orm/core';
import { executeInTransaction } from '../orm/transaction.ts';

/** What pg-boss runs its statements on. */
export interface BossDatabase {
  executeSql(text: string, values?: unknown[]): Promise<{ rows: object[] }>;
}

/** A job as a worker of pg-boss receives it. */
export interface BossJob {
  readonly id: string;
  readonly data: unknown;
  readonly retryCount: number;
  readonly signal: AbortSignal;
  readonly createdOn?: Date;
  /** When it is due; a retry moves it. */
  readonly startAfter?: Date;
  readonly startedOn?: Date;
}

/** A job as pg-boss finds it. */
export interface FoundBossJob extends BossJob {
  readonly state: string;
  readonly output: unknown;
  readonly createdOn: Date;
}

export interface BossResult {
  readonly id: string;
  readonly status: 'completed' | 'failed' | 'deadletter';
  readonly output?: object;
}

/** The part of pg-boss 12 that the engine uses; a type test proves that the real one fits. */
export interface PgBossLike {
  /** What its own statements run on. */
  getDb(): BossDatabase;
  createQueue(name: string, options?: { policy?: string }): Promise<void>;
  getQueue(name: string): Promise<{ policy?: string } | null>;
  insert(name: string, jobs: object[], options?: { db?: BossDatabase; returnId?: boolean }): Promise<string[] | null>;
  findJobs(
    name: string,
    options?: { id?: string; key?: string; queued?: boolean; db?: BossDatabase },
  ): Promise<FoundBossJob[]>;
  update(
    name: string,
    data: undefined,
    options: { id?: string; singletonKey?: string; priority?: number; startAfter?: number; db?: BossDatabase },
  ): Promise<{ jobs: string[] }>;
  complete(
    name: string,
    job: { id: string; retryCount: number },
    output: object | null,
    options: { db?: BossDatabase },
  ): Promise<object>;
  deleteJob(name: string, id: string, options: { db?: BossDatabase }): Promise<object>;
  unschedule(name: string, key: string): Promise<void>;
  schedule(name: string, cron: string, data: object | null, options: object): Promise<void>;
  work(
    name: string,
    options: { includeMetadata: true; perJobResults: true; batchSize: number },
    handler: (jobs: BossJob[]) => Promise<BossResult[]>,
  ): Promise<string>;
  offWork(name: string, options: { id: string; wait: boolean }): Promise<void>;
  notifyWorker(workerId: string): void;
  on(event: 'error', listener: (error: Error) => void): unknown;
  off(event: 'error', listener: (error: Error) => void): unknown;
}

/** Runs pg-boss's statements in the transaction of an EntityManager. */
export function databaseOf(em: EntityManager): BossDatabase {
  return { executeSql: async (sql, parameters) => ({ rows: await executeInTransaction(em, sql, parameters) }) };
}
