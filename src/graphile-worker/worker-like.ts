/** A job as a task of graphile-worker receives it. */
export interface GraphileJob {
  /** Its id in graphile-worker's table, a number. */
  readonly id: string;
  /** Its `job_key`: the id that its handle has. */
  readonly key: string | null;
  /** The data of the job. */
  readonly payload: unknown;
  /** The attempt under way: 1 for the first. */
  readonly attempts: number;
  /** How many attempts it has in all. */
  readonly max_attempts: number;
  /** When it was enqueued. */
  readonly created_at: Date;
  /** When a worker took it. */
  readonly locked_at: Date | null;
  /** The pool whose worker has it; null while none has. */
  readonly locked_by: string | null;
}

/** What a task receives beside its payload. */
export interface GraphileHelpers {
  /** The job. */
  readonly job: GraphileJob;
  /** Aborted when its runner is shut down and does not end in time. */
  readonly abortSignal: AbortSignal;
}

/** The part of a connection of graphile-worker that the engine uses. */
export interface PgClientLike {
  /** Runs one statement. */
  query(text: string, values?: unknown[]): Promise<{ readonly rows: object[] }>;
}

/** The part of `makeWorkerUtils` that the engine uses. */
export interface WorkerUtilsLike {
  /** Lends a connection to a function. */
  withPgClient<T>(callback: (client: PgClientLike) => Promise<T>): Promise<T>;
  /** Closes what it has opened. */
  release(): void | PromiseLike<void>;
}
