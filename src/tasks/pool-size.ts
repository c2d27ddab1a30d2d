import { ByReferenceError } from '../errors.ts';

/**
 * Refuses a pool that `listening` queues leave too small for one more: each holds a connection to listen on, and without
 * one that nobody listens on everything would wait for good.
 */
export function checkPoolSize(
  option: string,
  pool: { readonly options?: { readonly max?: number } } | undefined,
  listening: number,
): void {
  const max = pool?.options?.max;
  const needed = listening + 2;
  if (max === undefined || max >= needed) return;
  const expected = `a pool with max of at least ${needed}, as each queue that is worked listens on a connection`;
  throw ByReferenceError.invalidOption(option, expected, max);
}
