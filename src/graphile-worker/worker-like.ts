/** A job as a task of graphile-worker receives it. */
export interface GraphileJob {
  readonly id: string;
  readonly key: string | null;
  readonly payload: unknown;
  readonly attempts: number;
  readonly max_attempts: number;
  readonly created_at: Date;
  readonly locked_at: Date | null;
  readonly locked_by: string | null;
}

/** What a task receives beside its payload. */
export interface GraphileHelpers {
  readonly job: GraphileJob;
  readonly abortSignal: AbortSignal;
}

export interface PgClientLike {
  query(text: string, values?: unknown[]): Promise<{ readonly rows: object[] }>;
}

/** The part of `makeWorkerUtils` that the engine uses. */
export interface WorkerUtilsLike {
  withPgClient<T>(callback: (client: PgClientLike) => Promise<T>): Promise<T>;
  release(): void | PromiseLike<void>;
}
