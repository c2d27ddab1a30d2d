import { ByReferenceError } from '../errors.ts';

/** What a payload has come to: the output of the last stage, or why it can't be read. */
export type Outcome<T> = PromiseSettledResult<T>;

export const succeeded = <T>(value: T): Outcome<T> => ({ status: 'fulfilled', value });

/** The value of an outcome. Throws its reason. */
export function valueOf<T>(outcome: Outcome<T>): T {
  if (outcome.status === 'rejected') throw outcome.reason;
  return outcome.value;
}

/** Runs a stage on each payload that has come so far. What it throws is that payload's outcome. */
export function each<In, Out>(outcomes: readonly Outcome<In>[], stage: (input: In) => Out): Outcome<Out>[] {
  return outcomes.map((outcome) => {
    if (outcome.status === 'rejected') return outcome;
    try {
      return succeeded(stage(outcome.value));
    } catch (error) {
      return failed(error);
    }
  });
}

/** The same for a stage that waits, on one payload after the other. */
export async function eachInTurn<In, Out>(
  outcomes: readonly Outcome<In>[],
  stage: (input: In) => Promise<Out>,
): Promise<Outcome<Out>[]> {
  const results: Outcome<Out>[] = [];
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') results.push(outcome);
    else results.push(await stage(outcome.value).then(succeeded, failed));
  }
  return results;
}

/** The outcome of a payload that a stage refused. An error of the caller's options is none: it is thrown. */
export function failed(reason: unknown): PromiseRejectedResult {
  if (isOfOptions(reason)) throw reason;
  return { status: 'rejected', reason };
}

/** One with a path is about what the payload has there. */
const isOfOptions = (error: unknown): boolean =>
  error instanceof ByReferenceError &&
  (error.code === 'E_INVALID_OPTION' || error.code === 'E_UNSUPPORTED') &&
  error.path === undefined;
