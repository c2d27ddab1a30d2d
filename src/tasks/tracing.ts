import { tracingChannel } from 'node:diagnostics_channel';
import type { Outcome } from './engine.ts';

/**
 * The message of Node's `tracingChannel('mikro-orm-byref:job')`, one object for all events of an attempt: `start` and
 * `end` before and after its first step, `asyncStart` and `asyncEnd` at its end, `error` before those where it failed.
 */
export interface JobTrace {
  /** The task's name. */
  readonly task: string;
  /** The queue's name. */
  readonly queue: string;
  /** The job's id. */
  readonly id: string;
  /** 1 for the first. */
  readonly attempt: number;
  /** When it was enqueued. */
  readonly enqueuedAt: Date;
  /** What became of it; undefined while it runs. */
  status?: Outcome['status'];
  /** What was thrown, where it did not complete. */
  error?: unknown;
}

const channel = tracingChannel<unknown, JobTrace>('mikro-orm-byref:job');

/** Runs the attempts of one call: `run` says in each trace what became of it, and does not reject. */
export async function traced(traces: readonly JobTrace[], run: () => Promise<void>): Promise<void> {
  const [first, ...others] = traces;
  if (first === undefined || !channel.hasSubscribers) return run();
  const attempt = async (): Promise<void> => {
    await traced(others, run);
    if (first.error !== undefined) throw first.error;
  };
  // Whoever is to hear of the failure finds it in the trace.
  await channel.tracePromise(attempt, first).catch(() => undefined);
}
