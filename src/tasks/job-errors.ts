/** Thrown by a handler: no attempt follows, and the job has failed for good. */
export class DiscardJobError extends Error {
  override readonly name = 'DiscardJobError';
}

export interface RetryJobOptions extends ErrorOptions {
  /** Milliseconds until the next attempt, instead of what the task's `retries` say. */
  readonly delayMs?: number;
  readonly message?: string;
}

/**
 * Thrown by a handler: `throw new RetryJobError({ delayMs: 60_000, message: 'the mail server is full' })`. The attempt
 * counts as any other.
 */
export class RetryJobError extends Error {
  override readonly name = 'RetryJobError';
  readonly delayMs: number | undefined;

  constructor({ delayMs, message = 'The handler asks for another attempt.', ...options }: RetryJobOptions = {}) {
    super(message, options);
    this.delayMs = delayMs;
  }
}
