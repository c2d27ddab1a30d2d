import { UnrecoverableError } from 'bullmq';
import type { JobFailure } from '../tasks/engine.ts';

/**
 * A failure as the error that BullMQ keeps: its message, and a stack whose last line says the rest, for people and for
 * `failureOf`.
 */
export function errorOf(failure: JobFailure, isPermanent: boolean): Error {
  const { message, stack, ...facts } = failure;
  const error = isPermanent ? new UnrecoverableError(message) : new Error(message);
  const lines = typeof stack === 'string' ? stack : `${failure.name}: ${message}`;
  error.stack = `${lines}\n    ${JSON.stringify(facts)}`;
  return error;
}

/** The failure that a job of BullMQ was ended with; BullMQ's own reasons are messages alone. */
export function failureOf(message: string | undefined, stacktrace: readonly string[] | null): JobFailure {
  const stack = stacktrace?.at(-1);
  const facts = stack?.slice(stack.lastIndexOf('\n') + 1).trim();
  // A job that BullMQ itself has ended may have the stack of an earlier attempt.
  if (message === undefined || !stack?.includes(message) || !facts?.startsWith('{"name":')) {
    return { name: 'Error', message: message ?? 'it left no reason' };
  }
  return { ...(JSON.parse(facts) as JobFailure), message };
}
