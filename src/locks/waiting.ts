import type { Check } from '../check.ts';

/**
 * How long a call waits that says nothing of it: longer than a dead holder keeps its lock by the providers' defaults, and
 * not for ever, because a circle that goes through another process would.
 */
export const DEFAULT_WAIT_MS = 60_000;

/** What a timer of Node can wait. */
const MAX_MS = 2 ** 31 - 1;

const isMs = (value: unknown): boolean =>
  Number.isSafeInteger(value) && (value as number) > 0 && (value as number) <= MAX_MS;

export const ms: Check = ['milliseconds', isMs];

export const waitMs: Check = [
  `milliseconds up to ${MAX_MS}, 0 for a single try, or Infinity`,
  (value) => value === 0 || value === Infinity || isMs(value),
];

/** How long a caller is ready to wait: a signal that is aborted after `waitMs`, or when the caller's own one is. */
export interface Patience {
  readonly signal: AbortSignal;
  /** To be called when the waiting is over: forgets the timer and the caller's signal. */
  end(): void;
}

export function patience(waitMs: number, signal: AbortSignal | undefined): Patience {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  if (waitMs === 0) abort();
  const timer = waitMs > 0 && waitMs < Infinity ? setTimeout(abort, waitMs) : undefined;
  signal?.addEventListener('abort', abort, { once: true });
  const end = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  };
  return { signal: controller.signal, end };
}

/** Waits about `ms`, shorter when one of the signals is aborted or `wake` is called. */
export function pause(
  ms: number,
  signals: readonly AbortSignal[],
  onStart: (wake: () => void) => unknown = () => undefined,
): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      clearTimeout(timer);
      for (const signal of signals) signal.removeEventListener('abort', wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    for (const signal of signals) signal.addEventListener('abort', wake, { once: true });
    onStart(wake);
    if (signals.some((signal) => signal.aborted)) wake();
  });
}

/** Spreads what would otherwise ask in step: between half of `ms` and all of it. */
export const about = (ms: number): number => ms * (0.5 + Math.random() / 2);

/** Resolves when `settling` has settled or `ms` are over, and leaves no timer behind. */
export async function settled(settling: Promise<unknown>, ms: number): Promise<void> {
  const done = new AbortController();
  const isDone = (): void => done.abort();
  settling.then(isDone, isDone);
  await pause(ms, [done.signal]);
}
