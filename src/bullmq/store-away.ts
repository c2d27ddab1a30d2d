import { DelayedError } from 'bullmq';
import { setTimeout as sleep } from 'node:timers/promises';

/** Between two attempts to reach a store that is away, in milliseconds. */
export const STORE_AWAY_MS = 1_000;

/** Of the system, or of PostgreSQL: connection exceptions, too many connections, and a server that goes down or comes up. */
const CODES = /^(E[A-Z]+|08...|53300|57P..)$/;

/** pg's own, which have no code. */
const MESSAGES = /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection)/;

/** Whether a statement failed because its server can't be reached, or is not ready. */
export function isAway(error: unknown): boolean {
  const { code, message } = Object(error) as { readonly code?: unknown; readonly message?: unknown };
  return CODES.test(String(code)) || MESSAGES.test(String(message));
}

/** A job that BullMQ has given out. */
interface Active {
  moveToDelayed(timestamp: number, token?: string): Promise<void>;
}

/**
 * Has a job looked at again later without that an attempt counts: what it throws is for BullMQ. A store that is away is
 * told once it is back.
 */
export async function delayJob(job: Active, waitMs: number, token: string | undefined): Promise<never> {
  for (;;) {
    try {
      await job.moveToDelayed(Date.now() + waitMs, token);
      break;
    } catch (error) {
      if (!isAway(error) || isClosing(job)) throw error;
    }
    await sleep(STORE_AWAY_MS);
  }
  throw new DelayedError();
}

/** A sandboxed job does not know its worker. */
const isClosing = (job: object): boolean =>
  (job as { readonly queue?: { readonly closing?: unknown } }).queue?.closing !== undefined;
