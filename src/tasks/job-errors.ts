/** Thrown by a handler: no attempt follows, and the job has failed for good. */
export class DiscardJobError extends Error {
  override readonly name = 'DiscardJobError';
}

export interface RetryJobOptions extends ErrorOptions {
  /** Milliseconds until the next attempt, instead of what the task's `retries` say. */
  readonly delayMs?: number;
}

/** Thrown by a handler: `throw new RetryJobError('the mail server is full', { delayMs: 60_000 })`. It is an attempt like any other. */
export class RetryJobError extends Error {
  override readonly name = 'RetryJobError';
  readonly delayMs: number | undefined;

  constructor(message?: string, { delayMs, ...options }: RetryJobOptions = {}) {
    super(message, options);
    this.delayMs = delayMs;
  }
}
