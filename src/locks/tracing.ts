import { tracingChannel } from 'node:diagnostics_channel';

/**
 * What `tracingChannel('mikro-orm-byref:locks')` tells of a call: of `run` and `tryRun` from the ask to the end of the
 * work, of `acquire` and `tryAcquire` until the lock is in hand.
 */
export interface LockTrace {
  /** The key's text, as `dedupeKey` gives it: `["user",1]` for a row. */
  readonly key: string;
  /** Milliseconds until the call had its lock or gave up; 0 before that. */
  readonly waitedMs: number;
  /** The lock's fencing token, where its provider gives one. */
  readonly token?: bigint;
}

const calls = tracingChannel<unknown, LockTrace>('mikro-orm-byref:locks');

type Acquiring = Promise<{ readonly token?: bigint | undefined } | undefined>;

/** Sees to it that a trace says how long `acquiring` took, and what it brought. */
export type Waited = <A extends Acquiring>(acquiring: A) => A;

/** Tells of `call`, where anybody listens. What the work returns is nobody's business: it is not in the trace. */
export async function traced<T>(key: string, call: (waited: Waited) => Promise<T>): Promise<T> {
  if (!calls.hasSubscribers) return call((acquiring) => acquiring);
  const trace: { key: string; waitedMs: number; token?: bigint } = { key, waitedMs: 0 };
  const askedAt = performance.now();
  const waited: Waited = (acquiring) => {
    const over = (lease?: { readonly token?: bigint | undefined }): void => {
      trace.waitedMs = performance.now() - askedAt;
      if (lease?.token !== undefined) trace.token = lease.token;
    };
    acquiring.then(over, () => over());
    return acquiring;
  };
  let result: { readonly of: T } | undefined;
  await calls.tracePromise(async () => {
    result = { of: await call(waited) };
  }, trace);
  return result!.of;
}
