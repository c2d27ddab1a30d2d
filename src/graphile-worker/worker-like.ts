/** What graphile-worker's `run` takes and the engine passes on; tasks, cron items and concurrency are those of Tasks. */
export interface RunnerOptionsLike {
  /** Each queue's runner then has a pool of its own. */
  readonly connectionString?: string;
  /** Of each such pool. */
  readonly maxPoolSize?: number;
  /** A `Pool` of pg for all queues. Each queue that is worked holds one of its connections to listen. */
  readonly pgPool?: { readonly options?: { readonly max?: number } };
  /** graphile-worker's schema. Default: that of the preset itself, then of GRAPHILE_WORKER_SCHEMA, then `graphile_worker`. */
  readonly schema?: string;
  readonly preset?: object;
  /** Milliseconds between looks for jobs that nobody was notified of: delayed ones and retries. Default: 2,000. */
  readonly pollInterval?: number;
  readonly logger?: object;
  readonly events?: object;
  readonly noHandleSignals?: boolean;
  readonly noPreparedStatements?: boolean;
  readonly useNodeTime?: boolean;
  readonly forbiddenFlags?: unknown;
  readonly gracefulShutdownAbortTimeout?: number;
  readonly minResetLockedInterval?: number;
  readonly maxResetLockedInterval?: number;
}

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
