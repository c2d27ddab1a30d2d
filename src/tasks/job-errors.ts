/** Thrown by a handler: no attempt follows, and the job has failed for good. */
export class DiscardJobError extends Error {
  /** Always `DiscardJobError`. */
  override readonly name = 'DiscardJobError';
}

/** When a job is tried again, and why. */
export interface RetryJobOptions extends ErrorOptions {
  /**
   * Milliseconds until the next attempt, where the engine can.
   * @defaultValue what the task's `retries` say
   */
  readonly delayMs?: number;
  /**
   * The error's message, which is kept with the job.
   * @defaultValue `'The handler asks for another attempt.'`
   */
  readonly message?: string;
}

/**
 * Thrown by a handler: `throw new RetryJobError({ delayMs: 60_000, message: 'the mail server is full' })`. The attempt
 * counts as any other.
 */
export class RetryJobError extends Error {
  /** Always `RetryJobError`. */
  override readonly name = 'RetryJobError';
  /** Milliseconds until the next attempt; undefined for what the task's `retries` say. */
  readonly delayMs: number | undefined;

  /** `new RetryJobError({ delayMs: 60_000 })`. */
  constructor({ delayMs, message = 'The handler asks for another attempt.', ...options }: RetryJobOptions = {}) {
    super(message, options);
    this.delayMs = delayMs;
  }
}
